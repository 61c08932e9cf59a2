"""The rides of the stream's last day, joined with their predictions: from `collect`'s file, or from Parquet.

The Parquet has the columns of the view `rides_of_the_stream`, in DuckDB or BigQuery.
"""

import glob
from collections import Counter
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from jobs.ground_truth.store import opened
from jobs.monitoring.dataset import Rides
from jobs.storage.files import FileAccessError, name_of
from jobs.storage.gcs import address, objects_below
from jobs.storage.parquet import numbers_of, open_parquet, times_of
from jobs.trips.records import Trips

VIEW = "rides_of_the_stream"
ROWS = 1 << 18
_NUMBERS = ("PULocationID", "DOLocationID", "trip_distance", "predicted_duration")
_TIMES = ("pickup_datetime", "dropoff_datetime", "published")
_TEXTS = ("ride_id", "model_version")
COLUMNS = (*_TEXTS, *_NUMBERS, *_TIMES)


def read_stream(place: str, hours: float) -> tuple[Rides, str]:
    """Rides that ended in the last hours before the newest event, with their predictions; their name.

    Args:
        place: `collect`'s file, or Parquet: a file or a folder, local or on `gs://`; `*` is understood.
        hours: infinity takes all.

    Raises:
        FileAccessError, StoreFailed: it cannot be read, or is something else.
    """
    parquet = place.startswith("gs://") or place.endswith(".parquet") or Path(place).is_dir()
    rows = pd.concat([_frame(batch) for batch in (_of_parquet(place) if parquet else _of_file(place))])
    if not len(rows):
        raise FileAccessError(f"{place} holds no events yet: is `python -m jobs collect` running?")
    newest = rows.published.max()
    if np.isfinite(hours):
        rows = rows[rows.published > newest - pd.Timedelta(hours=hours)]
    since = rows.published.min()
    return _rides(
        rows
    ), f"{name_of(place)}, events from {since:%Y-%m-%d %H:%M} to {newest:%Y-%m-%d %H:%M} UTC"


def _rides(rows: pd.DataFrame) -> Rides:
    """One ride for all rows of one id."""
    ended = rows.dropoff_datetime.notna().to_numpy()
    predicted = rows.predicted_duration.notna().to_numpy()
    waiting = Counter(
        {
            "rides ended without a prediction": rows.ride_id[ended & ~predicted].nunique(),
            "predicted rides have not ended": rows.ride_id[~ended].nunique(),
        }
    )
    rows = rows[ended]
    first = ~rows.ride_id.duplicated().to_numpy()
    of_ride = pd.factorize(rows.ride_id)[0]
    rides, keep = Rides.of(Trips._make(rows[first][name].to_numpy() for name in Trips._fields))
    by_version = {}
    for version, some in rows.assign(of_ride=of_ride)[predicted[ended]].groupby("model_version"):
        minutes = np.full(int(first.sum()), np.nan)
        minutes[some.of_ride] = some.predicted_duration
        by_version[str(version)] = minutes[keep]
    return replace(rides, by_version=by_version, waiting=waiting)


def _of_file(place: str) -> list[pa.RecordBatch]:
    path = Path(place)
    if not path.is_file():
        raise FileAccessError(
            f"{place} does not exist: give the file that `python -m jobs collect` writes, or Parquet"
        )
    with opened(path, read_only=True) as connection:
        # Read at once: while it is open, nothing can be collected.
        table: pa.Table = connection.sql(f"select {', '.join(COLUMNS)} from {VIEW}").to_arrow_table()  # noqa: S608
    batches: list[pa.RecordBatch] = table.to_batches()
    return batches or [pa.RecordBatch.from_pylist([], table.schema)]


def _of_parquet(place: str) -> list[pa.RecordBatch]:
    batches = []
    for file in _files(place):
        with open_parquet(file) as source:
            if missing := [name for name in COLUMNS if name not in source.names]:
                raise FileAccessError(
                    f"{file} has no column {' and no '.join(missing)}: export the view {VIEW}"
                )
            batches += list(source.batches(COLUMNS, ROWS))
    return batches


def _files(place: str) -> list[str]:
    """The Parquet files that a place means: itself, those of a folder, or those that fit a pattern."""
    if Path(place).is_file() or (
        place.startswith("gs://") and place.endswith(".parquet") and "*" not in place
    ):
        return [place]
    if place.startswith("gs://"):
        folder = place.partition("*")[0].rpartition("/")[0] if "*" in place else place
        known = [address(blob) for blob in objects_below(folder).values()]
    else:
        known = [str(path) for path in Path(place).rglob("*.parquet")] or glob.glob(place)  # noqa: PTH207
    pattern = place if "*" in place else f"{place.rstrip('/')}/*.parquet"
    found = sorted(file for file in known if fnmatch(file, pattern))
    if not found:
        raise FileAccessError(f"{place} is no Parquet file, and there is none in it")
    return found


def _frame(batch: pa.RecordBatch) -> pd.DataFrame:
    """A batch's columns, with NaN and NaT for what is null."""
    columns: dict[str, Any] = {name: batch[name].cast(pa.string()).to_pandas() for name in _TEXTS}
    columns |= {name: numbers_of(batch[name]) for name in _NUMBERS}
    columns |= {name: times_of(batch[name]) for name in _TIMES}
    return pd.DataFrame(columns)
