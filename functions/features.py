"""Rides → feature columns, with the same code for one ride, a request's batch and a month's table.

A model's signature names its columns; `ZONE_FEATURES` and `RIDE_FEATURES` hold a function for each supported
name. Features are computed in float32, the served model's precision: with another precision in training, a
value could fall on the other side of a tree's threshold. Unknown values are NaN.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from functions.rides import LAST_ZONE, Ride
from functions.zones import ZONES

FloatColumn = npt.NDArray[np.float32]
ZoneIds = npt.NDArray[np.int64]

UNKNOWN = np.float32("nan")
_ZONE_COUNT = LAST_ZONE + 1
"""Including an unused zone 0, so that zone ids are indices."""
_MILES_PER_LATITUDE = np.float32(69.0)
_MILES_PER_LONGITUDE = np.float32(52.4)
"""Length of a degree at New York's 40.7° N: 69.0 · cos 40.7°."""


class RideColumns(NamedTuple):
    """Rides as columns of the same length."""

    PULocationID: ZoneIds
    DOLocationID: ZoneIds
    trip_distance: npt.NDArray[np.float64]
    """Miles."""
    pickup_minute: npt.NDArray[np.float64]
    """Minute of the day in New York, 0 to 1439; NaN if the pick-up time is unknown."""
    pickup_weekday: npt.NDArray[np.float64]
    """0 for Monday to 6 for Sunday; NaN if the pick-up time is unknown."""


def ride_columns(rides: Sequence[Ride]) -> RideColumns:
    """A sequence of rides → columns."""
    times = [ride.pickup_datetime for ride in rides]
    return RideColumns(
        np.array([ride.PULocationID for ride in rides], np.int64),
        np.array([ride.DOLocationID for ride in rides], np.int64),
        np.array([ride.trip_distance for ride in rides], np.float64),
        np.array([time.hour * 60 + time.minute if time else np.nan for time in times], np.float64),
        np.array([time.weekday() if time else np.nan for time in times], np.float64),
    )


def zone_distance(pickup: ZoneIds, dropoff: ZoneIds) -> FloatColumn:
    """Straight-line distance between the centres of the two zones, in miles."""
    miles: FloatColumn = np.hypot(
        (_LONGITUDE[pickup] - _LONGITUDE[dropoff]) * _MILES_PER_LONGITUDE,
        (_LATITUDE[pickup] - _LATITUDE[dropoff]) * _MILES_PER_LATITUDE,
    )
    return miles


def zone_pair_text(table: "FeatureTable") -> npt.NDArray[Any]:
    """Both zone ids as in the course: "130_205"."""
    pairs = zip(table.rides.PULocationID.tolist(), table.rides.DOLocationID.tolist(), strict=True)
    return np.array([f"{pickup}_{dropoff}" for pickup, dropoff in pairs], np.object_)


def known_distance(table: "FeatureTable") -> FloatColumn:
    """Miles; NaN where TLC has 0."""
    miles = table.rides.trip_distance.astype(np.float32)
    miles[miles <= 0] = UNKNOWN
    return miles


def _zone_table(values: dict[int, float | None]) -> FloatColumn:
    """An array indexed by zone id; NaN for zones without a location."""
    table = np.full(_ZONE_COUNT, UNKNOWN)
    for zone, value in values.items():
        if value is not None:
            table[zone] = value
    return table


_LONGITUDE = _zone_table({zone_id: zone.longitude for zone_id, zone in ZONES.items()})
_LATITUDE = _zone_table({zone_id: zone.latitude for zone_id, zone in ZONES.items()})
"""Of the zones' centres, in degrees, by zone id."""

ZONE_FEATURES: dict[str, Callable[[ZoneIds, ZoneIds], npt.NDArray[Any]]] = {
    "PULocationID": lambda pickup, _: pickup,
    "DOLocationID": lambda _, dropoff: dropoff,
    # 130 to 205 is 130205.
    "zone_pair": lambda pickup, dropoff: (pickup * 1000 + dropoff).astype(np.float32),
    "pickup_longitude": lambda pickup, _: _LONGITUDE[pickup],
    "pickup_latitude": lambda pickup, _: _LATITUDE[pickup],
    "dropoff_longitude": lambda _, dropoff: _LONGITUDE[dropoff],
    "dropoff_latitude": lambda _, dropoff: _LATITUDE[dropoff],
    "zone_distance": zone_distance,
}
"""Features that depend only on the two zones, by their names in a model's signature."""


class FeatureTable(Mapping[str, npt.NDArray[Any]]):
    """Rides as a table of features; each column is computed once, when it is first accessed."""

    def __init__(self, rides: RideColumns) -> None:
        self.rides = rides
        self.pairs = rides.PULocationID * _ZONE_COUNT + rides.DOLocationID
        """Index of each ride's pair of zones in a table of all pairs."""
        self._columns: dict[str, npt.NDArray[Any]] = {}

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        column = self._columns.get(name)
        if column is None:
            compute = RIDE_FEATURES.get(name)
            column = compute(self) if compute else _all_pairs(name).take(self.pairs)
            self._columns[name] = column
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(FEATURES)

    def __len__(self) -> int:
        return len(FEATURES)


RIDE_FEATURES: dict[str, Callable[[FeatureTable], npt.NDArray[Any]]] = {
    "trip_distance": lambda table: table.rides.trip_distance,
    "PU_DO": zone_pair_text,
    "known_distance": known_distance,
    # Miles; can be negative, for example within a zone.
    "extra_miles": lambda table: table["known_distance"] - table["zone_distance"],
    "pickup_minute": lambda table: table.rides.pickup_minute.astype(np.float32),
    "pickup_weekday": lambda table: table.rides.pickup_weekday.astype(np.float32),
}
"""All other features, by their names in a model's signature."""

FEATURES = (*ZONE_FEATURES, *RIDE_FEATURES)
"""All features that a model may use."""


class FeatureMatrix:
    """Rides → a matrix of the named features, [rides, names]; no name may occur twice.

    All features in `ZONE_FEATURES` come from one precomputed table of zone pairs: one lookup per ride.
    """

    def __init__(self, names: Sequence[str], dtype: npt.DTypeLike = np.float32) -> None:
        self._pairs = np.zeros((_ZONE_COUNT * _ZONE_COUNT, len(names)), dtype)
        for index, name in enumerate(names):
            if name in ZONE_FEATURES:
                self._pairs[:, index] = _compute_all_pairs(name)
        self._others = [(index, name) for index, name in enumerate(names) if name not in ZONE_FEATURES]

    def __call__(self, table: FeatureTable) -> npt.NDArray[Any]:
        matrix = self._pairs.take(table.pairs, axis=0)
        for index, name in self._others:
            matrix[:, index] = table[name]
        return matrix


def feature_matrix(rides: RideColumns, names: Sequence[str]) -> FloatColumn:
    """A matrix of the named features: float32, [rides, names]; raises KeyError for an unknown name."""
    return FeatureMatrix(names)(FeatureTable(rides))


def _compute_all_pairs(name: str) -> npt.NDArray[Any]:
    """A feature for all pairs of zones, from (0, 0) to (265, 265)."""
    zones = np.arange(_ZONE_COUNT)
    return ZONE_FEATURES[name](zones.repeat(_ZONE_COUNT), np.tile(zones, _ZONE_COUNT))


_all_pairs = cache(_compute_all_pairs)
