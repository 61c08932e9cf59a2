"""TLC's trip records: Parquet files of green or yellow trips, read batch by batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from functions.features import RideColumns
from functions.rides import LAST_ZONE, LONGEST_TRIP_MILES
from jobs.storage.files import FileAccessError
from jobs.storage.parquet import ParquetSource, numbers_of, open_parquet, times_of

Numbers = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SHORTEST_MINUTES = 1.0
LONGEST_MINUTES = 60.0
"""Rides from the one to the other, inclusive, are what the model learns and is judged on."""

_SPELLINGS = {
    "PULocationID": ("pulocationid",),
    "DOLocationID": ("dolocationid",),
    "trip_distance": ("trip_distance",),
    "pickup_datetime": ("lpep_pickup_datetime", "tpep_pickup_datetime", "pickup_datetime"),
    "dropoff_datetime": ("lpep_dropoff_datetime", "tpep_dropoff_datetime", "dropoff_datetime"),
}
"""Our name for a column → the lower-case names it has in green, yellow and other files."""
_OPTIONAL = "dropoff_datetime"
_TAXIS = {"lpep": "green", "tpep": "yellow"}
_MONDAY = 3
"""Days from Monday to 1970-01-01, a Thursday."""


class Trips(NamedTuple):
    """Trips exactly as recorded, [n] each; what a file leaves out is NaN or NaT."""

    PULocationID: Numbers
    DOLocationID: Numbers
    trip_distance: Numbers
    """Miles."""
    pickup_datetime: npt.NDArray[np.datetime64]
    dropoff_datetime: npt.NDArray[np.datetime64]
    """On New York's clock, in microseconds."""


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


class TripFile:
    """An open file of trips."""

    def __init__(self, source: ParquetSource) -> None:
        """Raises FileAccessError where a needed column is missing."""
        self._source = source
        self.place = source.place
        self.rows = source.rows
        self.names = spelled(source.names)
        """Our name for a column → the file's."""
        missing = [ours for ours in _SPELLINGS if ours not in self.names and ours != _OPTIONAL]
        if missing:
            raise FileAccessError(
                f"{self.place} has no column {' and no '.join(missing)}: give green or yellow trip records"
            )

    @property
    def taxi(self) -> str:
        """`green` or `yellow`, as the file's columns say; empty if they do not."""
        return _TAXIS.get(self.names["pickup_datetime"].lower().partition("_")[0], "")

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """The columns that are in `names`, as the file has them; see `ParquetSource.batches`."""
        return self._source.batches(list(self.names.values()), rows)

    def trips(self, batch: pa.RecordBatch) -> Trips:
        """A batch's trips."""
        read: dict[str, Any] = {
            ours: (times_of if ours.endswith("datetime") else numbers_of)(batch[theirs])
            for ours, theirs in self.names.items()
        }
        read.setdefault(_OPTIONAL, np.full(batch.num_rows, "NaT", "datetime64[us]"))
        return Trips(**read)


@contextmanager
def open_trips(place: str) -> Iterator[TripFile]:
    """Green or yellow trips at a path, `gs://bucket/name` or `https://…`.

    Raises:
        FileAccessError: it is missing, forbidden, not Parquet, or without a needed column.
    """
    with open_parquet(place) as source:
        yield TripFile(source)


def spelled(names: list[str]) -> dict[str, str]:
    """Our names for the columns of trips that are among a file's, with the file's own."""
    lower = {name.lower(): name for name in names}
    return {
        ours: lower[theirs]
        for ours, spellings in _SPELLINGS.items()
        for theirs in spellings
        if theirs in lower
    }


def minutes_of(trips: TripTable) -> Numbers:
    """How long each trip took; NaN where one of its times is unknown."""
    took = _microseconds(trips.dropoff_datetime) - _microseconds(trips.pickup_datetime)
    return took / 1e6 / 60


def broken_rules(trips: TripTable) -> dict[str, Mask]:
    """What makes a trip none that the model is for → the trips for which it holds.

    An unknown duration breaks no rule.
    """
    minutes = minutes_of(trips)
    return {
        f"shorter than {SHORTEST_MINUTES:g} minute": minutes < SHORTEST_MINUTES,
        f"longer than {LONGEST_MINUTES:g} minutes": minutes > LONGEST_MINUTES,
        f"zone missing or not 1 to {LAST_ZONE}": ~(
            _is_zone(trips.PULocationID) & _is_zone(trips.DOLocationID)
        ),
    }


def mended_distances(trips: TripTable) -> Numbers:
    """Miles; 0, TLC's own way of saying that it was not recorded, for what no taxi drives."""
    miles = np.asarray(trips.trip_distance, np.float64)
    return np.where((miles > 0) & (miles <= LONGEST_TRIP_MILES), miles, 0.0)


def columns_of(trips: TripTable) -> RideColumns:
    """Trips with whole zone ids and possible distances → the columns that features are made from.

    Bit for bit what `ride_columns` gives for the same rides one by one.
    """
    minutes = np.floor(_microseconds(trips.pickup_datetime) / 60e6)
    return RideColumns(
        np.asarray(trips.PULocationID).astype(np.int64),
        np.asarray(trips.DOLocationID).astype(np.int64),
        np.asarray(trips.trip_distance, np.float64),
        minutes % 1440,
        (minutes // 1440 + _MONDAY) % 7,
    )


def without_pickup_time(rides: RideColumns) -> RideColumns:
    """The same rides, as if nobody had said when they began."""
    unknown = np.full(len(rides.pickup_minute), np.nan)
    return rides._replace(pickup_minute=unknown, pickup_weekday=unknown)


def _microseconds(times: Any) -> Numbers:
    """Since 1970, exact for 285 years; NaN for NaT."""
    moments = np.asarray(times, "datetime64[us]")
    return np.where(np.isnat(moments), np.nan, moments.astype(np.int64))


def _is_zone(ids: Any) -> Mask:
    zones = np.asarray(ids, np.float64)
    mask: Mask = (zones >= 1) & (zones <= LAST_ZONE) & (zones % 1 == 0)
    return mask
