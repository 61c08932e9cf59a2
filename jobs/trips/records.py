"""Reads TLC's trip records, Parquet files of green or yellow taxi trips, batch by batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from functions.features import RideColumns
from functions.rides import LAST_ZONE, MAX_TRIP_MILES
from jobs.storage.errors import FileAccessError
from jobs.storage.parquet import ParquetSource, open_parquet, to_datetime64, to_float64

Numbers = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MIN_TRIP_MINUTES = 1.0
MAX_TRIP_MINUTES = 60.0
"""The model is trained and evaluated on trips of this duration, both limits included."""

_COLUMN_NAMES = {
    "PULocationID": ("pulocationid",),
    "DOLocationID": ("dolocationid",),
    "trip_distance": ("trip_distance",),
    "pickup_datetime": ("lpep_pickup_datetime", "tpep_pickup_datetime", "pickup_datetime"),
    "dropoff_datetime": ("lpep_dropoff_datetime", "tpep_dropoff_datetime", "dropoff_datetime"),
}
"""Field of `Trips` → the column's lower-case names in green, yellow and other files."""
_OPTIONAL = "dropoff_datetime"
_TAXIS = {"lpep": "green", "tpep": "yellow"}
_EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""


class Trips(NamedTuple):
    """Trips exactly as recorded, [n] each; missing values are NaN or NaT."""

    PULocationID: Numbers
    DOLocationID: Numbers
    trip_distance: Numbers
    """Miles."""
    pickup_datetime: npt.NDArray[np.datetime64]
    dropoff_datetime: npt.NDArray[np.datetime64]
    """Both times are New York local time in microseconds."""


class TripTable(Protocol):
    """`Trips`, or a data frame with the same columns."""

    @property
    def PULocationID(self) -> Any: ...
    @property
    def DOLocationID(self) -> Any: ...
    @property
    def trip_distance(self) -> Any: ...
    @property
    def pickup_datetime(self) -> Any: ...
    @property
    def dropoff_datetime(self) -> Any: ...


class TripReader:
    """Reads the trips of an open Parquet file; raises FileAccessError if a required column is missing."""

    def __init__(self, source: ParquetSource) -> None:
        self._source = source
        self.uri = source.uri
        self.rows = source.rows
        self.names = find_columns(source.names)
        """Field of `Trips` → the file's own name for the column."""
        missing = [field for field in _COLUMN_NAMES if field not in self.names and field != _OPTIONAL]
        if missing:
            raise FileAccessError(
                f"{self.uri} has no column {' and no '.join(missing)}: give green or yellow trip records"
            )

    @property
    def taxi(self) -> str:
        """`green` or `yellow`, derived from the column names; empty if they do not tell."""
        return _TAXIS.get(self.names["pickup_datetime"].lower().partition("_")[0], "")

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """The columns listed in `names`, as stored in the file; see `ParquetSource.batches`."""
        return self._source.batches(list(self.names.values()), rows)

    def trips(self, batch: pa.RecordBatch) -> Trips:
        """Converts a batch of the file to arrays."""
        columns: dict[str, Any] = {
            field: (to_datetime64 if field.endswith("datetime") else to_float64)(batch[name])
            for field, name in self.names.items()
        }
        columns.setdefault(_OPTIONAL, np.full(batch.num_rows, "NaT", "datetime64[us]"))
        return Trips(**columns)


@contextmanager
def open_trips(uri: str) -> Iterator[TripReader]:
    """Opens green or yellow trips at a path, `gs://BUCKET/NAME` or `https://…`.

    Raises:
        FileAccessError: the file is missing, forbidden, not Parquet, or lacks a required column.
    """
    with open_parquet(uri) as source:
        yield TripReader(source)


def find_columns(names: list[str]) -> dict[str, str]:
    """Fields of `Trips` in a file → their column names, found among `names` regardless of case."""
    by_lower_case = {name.lower(): name for name in names}
    return {
        field: by_lower_case[alias]
        for field, aliases in _COLUMN_NAMES.items()
        for alias in aliases
        if alias in by_lower_case
    }


def trip_minutes(trips: TripTable) -> Numbers:
    """Duration of each trip, [n]; NaN where one of its times is missing."""
    microseconds = _microseconds(trips.dropoff_datetime) - _microseconds(trips.pickup_datetime)
    return microseconds / 1e6 / 60


def rule_violations(trips: TripTable) -> dict[str, Mask]:
    """Rules for trips that the model supports → mask of the trips that violate each, [n].

    A trip of unknown duration violates none of the rules on duration.
    """
    minutes = trip_minutes(trips)
    return {
        f"shorter than {MIN_TRIP_MINUTES:g} minute": minutes < MIN_TRIP_MINUTES,
        f"longer than {MAX_TRIP_MINUTES:g} minutes": minutes > MAX_TRIP_MINUTES,
        f"zone missing or not 1 to {LAST_ZONE}": ~(
            _is_zone(trips.PULocationID) & _is_zone(trips.DOLocationID)
        ),
    }


def repaired_distances(trips: TripTable) -> Numbers:
    """Distances in miles; impossible ones become 0, TLC's own value for a distance not recorded."""
    miles = np.asarray(trips.trip_distance, np.float64)
    return np.where((miles > 0) & (miles <= MAX_TRIP_MILES), miles, 0.0)


def to_ride_columns(trips: TripTable) -> RideColumns:
    """Converts trips with valid zones and repaired distances to the columns that features use.

    The result is bit-identical to `ride_columns` of the same rides.
    """
    minutes = np.floor(_microseconds(trips.pickup_datetime) / 60e6)
    return RideColumns(
        np.asarray(trips.PULocationID).astype(np.int64),
        np.asarray(trips.DOLocationID).astype(np.int64),
        np.asarray(trips.trip_distance, np.float64),
        minutes % 1440,
        (minutes // 1440 + _EPOCH_WEEKDAY) % 7,
    )


def without_pickup_time(rides: RideColumns) -> RideColumns:
    """The same rides with unknown pick-up times."""
    unknown = np.full(len(rides.pickup_minute), np.nan)
    return rides._replace(pickup_minute=unknown, pickup_weekday=unknown)


def _microseconds(times: Any) -> Numbers:
    """Microseconds since 1970, exact for 285 years; NaN for NaT."""
    timestamps = np.asarray(times, "datetime64[us]")
    return np.where(np.isnat(timestamps), np.nan, timestamps.astype(np.int64))


def _is_zone(ids: Any) -> Mask:
    zones = np.asarray(ids, np.float64)
    mask: Mask = (zones >= 1) & (zones <= LAST_ZONE) & (zones % 1 == 0)
    return mask
