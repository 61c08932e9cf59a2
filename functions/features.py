"""Rides → feature columns: one ride, a request's batch and a month's table go through the same lines.

A model's signature names the columns it takes; `OF_THE_ZONES` and `OF_THE_RIDE` hold one function for each
name that a ride can fill. What is computed here is float32, because that is what the served model computes
in: a value that is not exact there could fall on the other side of a tree's threshold in training. An
unknown value is NaN.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from functions.rides import LAST_ZONE, Ride
from functions.zones import ZONES

Column = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

UNKNOWN = np.float32("nan")
_ZONES = LAST_ZONE + 1
"""Zone 0 among them, so that a zone's id is its index."""
_MILES_A_LATITUDE = np.float32(69.0)
_MILES_A_LONGITUDE = np.float32(52.4)
"""A degree's length at New York's 40.7° N: 69.0 · cos 40.7°."""


class RideColumns(NamedTuple):
    """Rides as columns, all of the same length n."""

    PULocationID: Ids
    DOLocationID: Ids
    trip_distance: npt.NDArray[np.float64]
    """Miles."""
    pickup_minute: npt.NDArray[np.float64]
    """Of the day on New York's clock, 0 to 1439; NaN where the pick-up's time is unknown."""
    pickup_weekday: npt.NDArray[np.float64]
    """0 for Monday to 6 for Sunday; NaN where the pick-up's time is unknown."""


def ride_columns(rides: Sequence[Ride]) -> RideColumns:
    """Rides one by one → columns."""
    times = [ride.pickup_datetime for ride in rides]
    return RideColumns(
        np.array([ride.PULocationID for ride in rides], np.int64),
        np.array([ride.DOLocationID for ride in rides], np.int64),
        np.array([ride.trip_distance for ride in rides], np.float64),
        np.array([time.hour * 60 + time.minute if time else np.nan for time in times], np.float64),
        np.array([time.weekday() if time else np.nan for time in times], np.float64),
    )


def zone_pair(pickup: Ids, dropoff: Ids) -> Column:
    """Both ids in one number: 130 to 205 is 130205."""
    return (pickup * 1000 + dropoff).astype(np.float32)


def zone_distance(pickup: Ids, dropoff: Ids) -> Column:
    """Miles between the two zones' centres, as the crow flies."""
    miles: Column = np.hypot(
        (_LONGITUDE[pickup] - _LONGITUDE[dropoff]) * _MILES_A_LONGITUDE,
        (_LATITUDE[pickup] - _LATITUDE[dropoff]) * _MILES_A_LATITUDE,
    )
    return miles


def zone_pair_text(table: "Features") -> npt.NDArray[Any]:
    """Both ids as the course writes them: "130_205"."""
    pairs = zip(table.rides.PULocationID.tolist(), table.rides.DOLocationID.tolist(), strict=True)
    return np.array([f"{pickup}_{dropoff}" for pickup, dropoff in pairs], np.object_)


def known_distance(table: "Features") -> Column:
    """Miles; unknown where TLC has 0."""
    miles = table.rides.trip_distance.astype(np.float32)
    miles[miles <= 0] = UNKNOWN
    return miles


def extra_miles(table: "Features") -> Column:
    """Miles driven beyond the distance between the two zones' centres; negative on the near sides."""
    extra: Column = table["known_distance"] - table["zone_distance"]
    return extra


def _zone_table(values: dict[int, float | None]) -> Column:
    """A column in which a zone's id is the index; NaN for zones without a place."""
    table = np.full(_ZONES, UNKNOWN)
    for zone, value in values.items():
        if value is not None:
            table[zone] = value
    return table


_LONGITUDE = _zone_table({zone: place.longitude for zone, place in ZONES.items()})
_LATITUDE = _zone_table({zone: place.latitude for zone, place in ZONES.items()})
"""Degrees, of the zones' centres."""

OF_THE_ZONES: dict[str, Callable[[Ids, Ids], npt.NDArray[Any]]] = {
    "PULocationID": lambda pickup, _: pickup,
    "DOLocationID": lambda _, dropoff: dropoff,
    "zone_pair": zone_pair,
    "pickup_longitude": lambda pickup, _: _LONGITUDE[pickup],
    "pickup_latitude": lambda pickup, _: _LATITUDE[pickup],
    "dropoff_longitude": lambda _, dropoff: _LONGITUDE[dropoff],
    "dropoff_latitude": lambda _, dropoff: _LATITUDE[dropoff],
    "zone_distance": zone_distance,
}
"""Columns that follow from where a ride begins and ends, by their names in a model's signature."""


class Features(Mapping[str, npt.NDArray[Any]]):
    """Rides as a table of features; a column is computed once, when it is asked for."""

    def __init__(self, rides: RideColumns) -> None:
        self.rides = rides
        self.pairs = rides.PULocationID * _ZONES + rides.DOLocationID
        """Where each ride's pair of zones stands in a table of all pairs."""
        self._columns: dict[str, npt.NDArray[Any]] = {}

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        column = self._columns.get(name)
        if column is None:
            of_the_ride = OF_THE_RIDE.get(name)
            column = of_the_ride(self) if of_the_ride else _table(name).take(self.pairs)
            self._columns[name] = column
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(FEATURES)

    def __len__(self) -> int:
        return len(FEATURES)


OF_THE_RIDE: dict[str, Callable[[Features], npt.NDArray[Any]]] = {
    "trip_distance": lambda table: table.rides.trip_distance,
    "PU_DO": zone_pair_text,
    "known_distance": known_distance,
    "extra_miles": extra_miles,
    "pickup_minute": lambda table: table.rides.pickup_minute.astype(np.float32),
    "pickup_weekday": lambda table: table.rides.pickup_weekday.astype(np.float32),
}
"""Columns that no table of zones holds, by their names in a model's signature."""

FEATURES = (*OF_THE_ZONES, *OF_THE_RIDE)
"""Every column a model may ask for."""


class FeatureMatrix:
    """Rides → the named columns side by side: [rides, names].

    What the zones decide is looked up in one table of all their pairs: a ride's share of ten columns is one
    look, not ten.

    Args:
        names: columns, each once.
        kind: of the matrix's numbers.

    """

    def __init__(self, names: Sequence[str], kind: npt.DTypeLike = np.float32) -> None:
        self._pairs = np.zeros((_ZONES * _ZONES, len(names)), kind)
        for position, name in enumerate(names):
            if name in OF_THE_ZONES:
                self._pairs[:, position] = _tabulate(name)
        self._others = [(position, name) for position, name in enumerate(names) if name not in OF_THE_ZONES]

    def __call__(self, table: Features) -> npt.NDArray[Any]:
        matrix = self._pairs.take(table.pairs, axis=0)
        for position, name in self._others:
            matrix[:, position] = table[name]
        return matrix


def feature_matrix(rides: RideColumns, names: Sequence[str]) -> Column:
    """The named columns side by side: float32, [rides, names].

    Raises:
        KeyError: a name that is not in `FEATURES`.
    """
    return FeatureMatrix(names)(Features(rides))


def _tabulate(name: str) -> npt.NDArray[Any]:
    """A column of all pairs of zones, from 0 and 0 to 265 and 265."""
    zones = np.arange(_ZONES)
    return OF_THE_ZONES[name](zones.repeat(_ZONES), np.tile(zones, _ZONES))


_table = cache(_tabulate)
