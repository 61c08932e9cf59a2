"""Reads TLC's trip records batch by batch: trips of taxis and for-hire vehicles, in Parquet or CSV."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from functions.features import RideColumns
from functions.rides import LAST_ZONE, is_recorded
from jobs.storage.columns import Mask, Numbers, not_numbers, to_datetime64, to_float64
from jobs.storage.tables import Table, open_table
from jobs.trips.months import find_month
from jobs.trips.trip_columns import (
    DISTANCE,
    DROPOFF,
    PICKUP,
    TIMES,
    find_taxi,
    require_readable,
    trip_columns,
)

MIN_TRIP_MINUTES = 1.0
MAX_TRIP_MINUTES = 60.0
"""The model is trained and evaluated on trips of this duration, both limits included."""

_UNREADABLE = {PICKUP: 1, DROPOFF: 2, DISTANCE: 4}
"""Field of `Trips` → its bit in `Trips.unreadable`. A zone that cannot be read is none of TLC's anyway."""
_EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""


class Trips(NamedTuple):
    """Trips exactly as recorded, [n] each; missing and unreadable values are NaN or NaT."""

    PULocationID: Numbers
    DOLocationID: Numbers
    trip_distance: Numbers
    """Miles."""
    pickup_datetime: npt.NDArray[np.datetime64]
    dropoff_datetime: npt.NDArray[np.datetime64]
    """Both times are New York local time in microseconds."""
    unreadable: npt.NDArray[np.uint8]
    """Which values are not missing, but cannot be read: 1 for pick-up time, 2 drop-off time, 4 distance."""


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
    @property
    def unreadable(self) -> Any: ...


class TripReader:
    """Reads the trips of a table; raises FileAccessError if its columns are not those of trips."""

    def __init__(self, table: Table) -> None:
        self.names = trip_columns(table)
        """Field of `Trips` → the table's own name for the column; without fields that it does not have."""
        self.table = table
        self.uri = table.uri
        self.rows = table.rows
        self.taxi = find_taxi(table.names)
        """One of `TAXIS`, derived from the column names; empty if they do not tell."""

    def month(self) -> date:
        """The month in the names of the files; raises FileAccessError unless there is exactly one."""
        return find_month(self.uri, [part.uri for part in self.table.parts])

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """The columns listed in `names`, as stored in the file; see `Table.batches`."""
        return self.table.batches(list(self.names.values()), rows)

    def trips(self, batch: pa.RecordBatch) -> Trips:
        """Converts a batch of the table to arrays."""
        columns: dict[str, Any] = {}
        unreadable: dict[str, Mask] = {}
        for field, name in self.names.items():
            if field in TIMES:
                columns[field], unreadable[field] = to_datetime64(batch[name])
            else:
                columns[field] = to_float64(batch[name])
        if DISTANCE in self.names:
            unreadable[DISTANCE] = not_numbers(batch[self.names[DISTANCE]])
        columns.setdefault(DROPOFF, np.full(batch.num_rows, "NaT", "datetime64[us]"))
        columns.setdefault(DISTANCE, np.full(batch.num_rows, np.nan))
        return Trips(**columns, unreadable=unreadable_bits(unreadable))


@contextmanager
def open_trips(uri: str) -> Iterator[TripReader]:
    """Opens trips at a path, `gs://` or `https://`: a file, a folder or a pattern, see `open_table`.

    Raises:
        FileAccessError: a file is missing, forbidden, neither Parquet nor CSV, or its columns are not those
            of trips.
    """
    with open_table(uri) as table:
        reader = TripReader(table)
        require_readable(reader.table, reader.names)
        yield reader


def unreadable_bits(masks: Mapping[str, Mask]) -> npt.NDArray[np.uint8]:
    """`Trips.unreadable` from masks, [n], of the values that cannot be read, by field; at least one."""
    bits = [mask.astype(np.uint8) * np.uint8(_UNREADABLE[field]) for field, mask in masks.items()]
    combined: npt.NDArray[np.uint8] = np.bitwise_or.reduce(bits)
    return combined


def trip_minutes(trips: TripTable) -> Numbers:
    """Duration of each trip, [n]; NaN where one of its times is missing."""
    microseconds = _microseconds(trips.dropoff_datetime) - _microseconds(trips.pickup_datetime)
    return microseconds / 1e6 / 60


def unreadable_values(trips: TripTable) -> dict[str, Mask]:
    """Reason → mask of the trips with a value that is not missing, but cannot be read, [n]."""
    unreadable = np.asarray(trips.unreadable)
    return {
        "pick-up time cannot be read": (unreadable & _UNREADABLE[PICKUP]) != 0,
        "drop-off time cannot be read": (unreadable & _UNREADABLE[DROPOFF]) != 0,
        "distance is not a number": (unreadable & _UNREADABLE[DISTANCE]) != 0,
    }


def rule_violations(trips: TripTable) -> dict[str, Mask]:
    """Rules for trips that the model supports → mask of the trips that violate each, [n].

    A trip of unknown duration violates none of the rules on duration.
    """
    minutes = trip_minutes(trips)
    return unreadable_values(trips) | {
        f"shorter than {MIN_TRIP_MINUTES:g} minute": minutes < MIN_TRIP_MINUTES,
        f"longer than {MAX_TRIP_MINUTES:g} minutes": minutes > MAX_TRIP_MINUTES,
        f"zone missing or not 1 to {LAST_ZONE}": ~(
            _is_zone(trips.PULocationID) & _is_zone(trips.DOLocationID)
        ),
    }


def repaired_distances(trips: TripTable) -> Numbers:
    """Distances in miles; impossible ones become 0, TLC's own value for a distance not recorded."""
    miles = np.asarray(trips.trip_distance, np.float64)
    return np.where(is_recorded(miles), miles, 0.0)


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
