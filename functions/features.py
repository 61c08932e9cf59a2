"""Rides → feature columns: one ride, a request's batch and a month's table go through the same lines.

A model's signature names the columns it takes; `FEATURES` holds one function for each name that a ride can
fill. What is computed here is float32, because that is what the served model computes in: a value that is
not exact there could fall on the other side of a tree's threshold in training. An unknown value is NaN.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from functions.rides import LAST_ZONE, Ride
from functions.zones import ZONES

Column = npt.NDArray[np.float32]

MINUTES_A_DAY = 1440
MONDAY = datetime(1970, 1, 5).toordinal()
"""Times are counted from this Monday's midnight, so that days modulo 7 are weekdays."""
_MILES_A_LATITUDE = np.float32(69.0)
_MILES_A_LONGITUDE = np.float32(52.4)
"""A degree's length at New York's 40.7° N: 69.0 · cos 40.7°."""


class RideColumns(NamedTuple):
    """Rides as columns, all of the same length n."""

    PULocationID: npt.NDArray[np.int64]
    DOLocationID: npt.NDArray[np.int64]
    trip_distance: npt.NDArray[np.float64]
    """Miles."""
    pickup_minutes: npt.NDArray[np.float64]
    """Whole minutes on New York's clock since `MONDAY`; NaN where the pick-up's time is unknown."""


def ride_columns(rides: Sequence[Ride]) -> RideColumns:
    """Rides one by one → columns."""
    return RideColumns(
        np.array([ride.PULocationID for ride in rides], np.int64),
        np.array([ride.DOLocationID for ride in rides], np.int64),
        np.array([ride.trip_distance for ride in rides], np.float64),
        np.array([_minutes(ride.pickup_datetime) for ride in rides], np.float64),
    )


def _minutes(moment: datetime | None) -> float:
    if moment is None:
        return float("nan")
    days = moment.toordinal() - MONDAY
    return float(days * MINUTES_A_DAY + moment.hour * 60 + moment.minute)


def zone_pair(table: "Features") -> Column:
    """Both ids in one number: 130 to 205 is 130205."""
    return (table.rides.PULocationID * 1000 + table.rides.DOLocationID).astype(np.float32)


def zone_pair_text(table: "Features") -> npt.NDArray[Any]:
    """The same as the course writes it: "130_205"."""
    pairs = zip(table.rides.PULocationID.tolist(), table.rides.DOLocationID.tolist(), strict=True)
    return np.array([f"{pickup}_{dropoff}" for pickup, dropoff in pairs], np.str_)


def known_distance(table: "Features") -> Column:
    """Miles; unknown where TLC has 0."""
    miles = table.rides.trip_distance.astype(np.float32)
    miles[miles <= 0] = np.nan
    return miles


def pickup_minute(table: "Features") -> Column:
    """Minute of the day, 0 to 1439."""
    return (table.rides.pickup_minutes % MINUTES_A_DAY).astype(np.float32)


def pickup_weekday(table: "Features") -> Column:
    """0 for Monday to 6 for Sunday."""
    return (table.rides.pickup_minutes // MINUTES_A_DAY % 7).astype(np.float32)


def pickup_longitude(table: "Features") -> Column:
    """Degrees, of the centre of the zone where the ride begins."""
    return _LONGITUDE.take(table.rides.PULocationID)


def pickup_latitude(table: "Features") -> Column:
    """Degrees, of the centre of the zone where the ride begins."""
    return _LATITUDE.take(table.rides.PULocationID)


def dropoff_longitude(table: "Features") -> Column:
    """Degrees, of the centre of the zone where the ride ends."""
    return _LONGITUDE.take(table.rides.DOLocationID)


def dropoff_latitude(table: "Features") -> Column:
    """Degrees, of the centre of the zone where the ride ends."""
    return _LATITUDE.take(table.rides.DOLocationID)


def zone_distance(table: "Features") -> Column:
    """Miles between the two zones' centres, as the crow flies."""
    return _DISTANCE.take(table.rides.PULocationID * (LAST_ZONE + 1) + table.rides.DOLocationID)


def extra_miles(table: "Features") -> Column:
    """Miles driven beyond the distance between the two zones' centres; negative on the near sides."""
    extra: Column = table["known_distance"] - table["zone_distance"]
    return extra


def _zone_table(values: dict[int, float | None]) -> Column:
    """A column in which a zone's id is the index; NaN for zones without a place."""
    table = np.full(LAST_ZONE + 1, np.nan, np.float32)
    for zone, value in values.items():
        if value is not None:
            table[zone] = value
    return table


_LONGITUDE = _zone_table({zone: place.longitude for zone, place in ZONES.items()})
_LATITUDE = _zone_table({zone: place.latitude for zone, place in ZONES.items()})
_DISTANCE = np.hypot(
    np.subtract.outer(_LONGITUDE, _LONGITUDE) * _MILES_A_LONGITUDE,
    np.subtract.outer(_LATITUDE, _LATITUDE) * _MILES_A_LATITUDE,
)


class Features(Mapping[str, npt.NDArray[Any]]):
    """Rides as a table of features; a column is computed once, when it is asked for."""

    def __init__(self, rides: RideColumns) -> None:
        self.rides = rides
        self._columns: dict[str, npt.NDArray[Any]] = {}

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = FEATURES[name](self)
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(FEATURES)

    def __len__(self) -> int:
        return len(FEATURES)


FEATURES: dict[str, Callable[[Features], npt.NDArray[Any]]] = {
    # As the ride has them, under TLC's and the course's names.
    "PULocationID": lambda table: table.rides.PULocationID,
    "DOLocationID": lambda table: table.rides.DOLocationID,
    "trip_distance": lambda table: table.rides.trip_distance,
    "PU_DO": zone_pair_text,
    # Computed.
    "zone_pair": zone_pair,
    "known_distance": known_distance,
    "pickup_minute": pickup_minute,
    "pickup_weekday": pickup_weekday,
    "pickup_longitude": pickup_longitude,
    "pickup_latitude": pickup_latitude,
    "dropoff_longitude": dropoff_longitude,
    "dropoff_latitude": dropoff_latitude,
    "zone_distance": zone_distance,
    "extra_miles": extra_miles,
}
"""Every column a model may ask for, by the name it has in the model's signature."""


def feature_matrix(rides: RideColumns, names: Sequence[str]) -> Column:
    """The named columns side by side: float32, [rides, names].

    Raises:
        KeyError: a name that is not in `FEATURES`.
    """
    table = Features(rides)
    matrix = np.empty((len(rides.PULocationID), len(names)), np.float32)
    for position, name in enumerate(names):
        matrix[:, position] = table[name]
    return matrix
