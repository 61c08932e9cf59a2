"""Reads the stream's latest rides with their predictions, from `collect`'s file or from Parquet.

The Parquet files have the columns of the view `rides_of_the_stream`, in DuckDB or BigQuery.
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

from jobs.ground_truth.store import connect
from jobs.monitoring.dataset import Rides
from jobs.storage.columns import is_number, is_text, is_time, not_numbers, to_datetime64, to_float64
from jobs.storage.errors import FileAccessError
from jobs.storage.files import basename
from jobs.storage.gcs import blob_uri, list_objects
from jobs.storage.tables import open_table
from jobs.trips.records import Trips, unreadable_bits
from jobs.trips.trip_columns import DISTANCE, DROPOFF, PICKUP
from jobs.ui.hints import job_command

VIEW = "rides_of_the_stream"
ROWS = 1 << 18
_NUMBERS = ("PULocationID", "DOLocationID", "trip_distance", "predicted_duration")
_TIMES = ("pickup_datetime", "dropoff_datetime", "published")
_TEXTS = ("ride_id", "model_version")
COLUMNS = (*_TEXTS, *_NUMBERS, *_TIMES)


def read_stream(uri: str, hours: float) -> tuple[Rides, str]:
    """Rides whose end was published in the last hours before the newest event, and a name for them.

    Args:
        uri: `collect`'s file, or Parquet: a file or a folder, local or `gs://`; `*` is a wildcard.
        hours: infinity reads everything.

    Raises:
        FileAccessError, StoreFailed: it cannot be read or has another format.
    """
    is_parquet = uri.startswith("gs://") or uri.endswith(".parquet") or Path(uri).is_dir()
    batches = _read_parquet(uri) if is_parquet else _read_database(uri)
    rows = pd.concat([_to_frame(batch) for batch in batches])
    if not len(rows):
        raise FileAccessError(f"{uri} holds no events yet: is `{job_command('collect')}` running?")
    newest = rows.published.max()
    if np.isfinite(hours):
        rows = rows[rows.published > newest - pd.Timedelta(hours=hours)]
    oldest = rows.published.min()
    name = f"{basename(uri)}, events from {oldest:%Y-%m-%d %H:%M} to {newest:%Y-%m-%d %H:%M} UTC"
    return _merge_rows(rows), name


def _merge_rows(rows: pd.DataFrame) -> Rides:
    """Merges the rows of each ride id into one ride."""
    ended = rows.dropoff_datetime.notna().to_numpy()
    predicted = rows.predicted_duration.notna().to_numpy()
    unmatched = Counter(
        {
            "rides ended without a prediction": rows.ride_id[ended & ~predicted].nunique(),
            "predicted rides have not ended": rows.ride_id[~ended].nunique(),
        }
    )
    rows = rows[ended]
    first = ~rows.ride_id.duplicated().to_numpy()
    ride_index = pd.factorize(rows.ride_id)[0]
    rides, accepted = Rides.from_trips(Trips._make(rows[first][name].to_numpy() for name in Trips._fields))
    predictions = {}
    predicted_rows = rows.assign(ride_index=ride_index)[predicted[ended]]
    for version, group in predicted_rows.groupby("model_version"):
        minutes = np.full(int(first.sum()), np.nan)
        minutes[group.ride_index] = group.predicted_duration
        predictions[str(version)] = minutes[accepted]
    return replace(rides, predictions_by_version=predictions, unmatched=unmatched)


def _read_database(uri: str) -> list[pa.RecordBatch]:
    path = Path(uri)
    if not path.is_file():
        raise FileAccessError(
            f"{uri} does not exist: give the file that `{job_command('collect')}` writes, or Parquet"
        )
    with connect(path, read_only=True) as connection:
        # Read at once, because `collect` cannot write while the file is open.
        table: pa.Table = connection.sql(f"select {', '.join(COLUMNS)} from {VIEW}").to_arrow_table()  # noqa: S608
    batches: list[pa.RecordBatch] = table.to_batches()
    return batches or [pa.RecordBatch.from_pylist([], table.schema)]


def _read_parquet(uri: str) -> list[pa.RecordBatch]:
    batches = []
    for file in _parquet_files(uri):
        with open_table(file) as table:
            if missing := [name for name in COLUMNS if name not in table.names]:
                raise FileAccessError(
                    f"{file} has no column {' and no '.join(missing)}: export the view {VIEW}"
                )
            for names, suitable, kind in ((_TIMES, is_time, "times"), (_NUMBERS, is_number, "numbers")):
                for name in names:
                    dtype = table.schema.field(name).type
                    if not (suitable(dtype) or is_text(dtype)):
                        raise FileAccessError(
                            f"{file} has {dtype} in {name}, where {kind} are expected: export the view {VIEW}"
                        )
            batches += list(table.batches(COLUMNS, ROWS))
    return batches


def _parquet_files(uri: str) -> list[str]:
    """The file itself, the Parquet files of a folder, or those that match a pattern."""
    if Path(uri).is_file() or (uri.startswith("gs://") and uri.endswith(".parquet") and "*" not in uri):
        return [uri]
    if uri.startswith("gs://"):
        folder = uri.partition("*")[0].rpartition("/")[0] if "*" in uri else uri
        candidates = [blob_uri(blob) for blob in list_objects(folder).values()]
    else:
        candidates = [str(path) for path in Path(uri).rglob("*.parquet")] or glob.glob(uri)  # noqa: PTH207
    pattern = uri if "*" in uri else f"{uri.rstrip('/')}/*.parquet"
    files = sorted(file for file in candidates if fnmatch(file, pattern))
    if not files:
        raise FileAccessError(f"{uri} is not a Parquet file and contains none")
    return files


def _to_frame(batch: pa.RecordBatch) -> pd.DataFrame:
    """The columns of a batch, with NaN and NaT for null."""
    columns: dict[str, Any] = {name: batch[name].cast(pa.string()).to_pandas() for name in _TEXTS}
    columns |= {name: to_float64(batch[name]) for name in _NUMBERS}
    read = {name: to_datetime64(batch[name]) for name in _TIMES}
    columns |= {name: times for name, (times, _) in read.items()}
    if (wrong := read["published"][1]).any():
        example = batch["published"][int(wrong.argmax())].as_py()
        raise FileAccessError(f"{example!r} in the column published is not a time: export the view {VIEW}")
    unreadable = {
        PICKUP: read[PICKUP][1],
        DROPOFF: read[DROPOFF][1],
        DISTANCE: not_numbers(batch[DISTANCE]),
    }
    return pd.DataFrame(columns | {"unreadable": unreadable_bits(unreadable)})
