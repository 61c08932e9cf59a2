"""What people know of rides, and how its values are told apart, for drift to be looked for."""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from functions.features import zone_distance
from functions.zones import ZONES
from jobs.monitoring.dataset import Rides

Numbers = npt.NDArray[np.float64]

TENTHS = 10
SMALLEST_SHARE = 0.005
"""Of the reference's rides; smaller zones are taken together, by borough, so that chance is not their sum."""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HOURS = [f"{hour} h" for hour in range(24)]


class Bins(NamedTuple):
    """How values are told apart."""

    labels: list[str]
    place: Callable[[Numbers], npt.NDArray[np.int64]]
    """Values → the place of each one's label; NaN has the last."""


class Feature(NamedTuple):
    """Something that people know of rides, and the model uses or gives."""

    name: str
    values: Callable[[Rides], Numbers]
    """[n], NaN where it is not known."""
    bins: Callable[[Numbers], Bins]
    """Made from the reference's values."""
    unit: str = ""
    """Of a number that has one."""
    unknown: str = ""
    """What NaN means, if it counts like a value; else rides with it are left out."""


def _tenths(known: Numbers) -> Bins:
    numbers = known[~np.isnan(known)]
    parts = np.linspace(0, 1, TENTHS + 1)[1:-1]
    edges = np.unique(np.quantile(numbers, parts)) if len(numbers) else np.empty(0)
    named = [f"{edge:.3g}" for edge in edges]
    between = [f"{low} to {high}" for low, high in itertools.pairwise(named)]
    labels = [f"below {named[0]}", *between, f"from {named[-1]}"] if named else ["any"]

    def place(values: Numbers) -> npt.NDArray[np.int64]:
        return np.where(np.isnan(values), len(labels), np.searchsorted(edges, values, side="right"))

    return Bins(labels, place)


def _each(labels: Sequence[str]) -> Callable[[Numbers], Bins]:
    """A bin for each of the numbers from 0."""
    return lambda _: Bins(list(labels), lambda values: values.astype(np.int64))


def _zones(known: Numbers) -> Bins:
    """A bin for each zone with rides enough, and for the rest of each borough."""
    rides = np.bincount(known.astype(np.int64), minlength=max(ZONES) + 1)
    names = {
        zone: place.name if rides[zone] >= SMALLEST_SHARE * len(known) else f"other {place.borough}"
        for zone, place in ZONES.items()
    }
    labels = sorted(set(names.values()))
    table = np.zeros(max(ZONES) + 1, np.int64)
    table[list(names)] = [labels.index(name) for name in names.values()]
    return Bins(labels, lambda values: table[values.astype(np.int64)])


def _recorded_miles(rides: Rides) -> Numbers:
    return np.where(rides.columns.trip_distance > 0, rides.columns.trip_distance, np.nan)


def _zone_distance(rides: Rides) -> Numbers:
    return zone_distance(rides.columns.PULocationID, rides.columns.DOLocationID).astype(np.float64)


FEATURES = (
    Feature("trip_distance", _recorded_miles, _tenths, "miles", "not recorded"),
    Feature(
        "pickup_hour", lambda rides: rides.columns.pickup_minute // 60, _each([f"{h} h" for h in range(24)])
    ),
    Feature("pickup_weekday", lambda rides: rides.columns.pickup_weekday, _each(WEEKDAYS)),
    Feature("PULocationID", lambda rides: rides.columns.PULocationID.astype(np.float64), _zones),
    Feature("DOLocationID", lambda rides: rides.columns.DOLocationID.astype(np.float64), _zones),
    Feature("zone_distance", _zone_distance, _tenths, "miles", "from or to an unknown zone"),
    Feature("predicted_duration", lambda rides: rides.predicted, _tenths, "minutes"),
    Feature("actual_duration", lambda rides: rides.actual, _tenths, "minutes"),
)
"""By the names that they have in a model's signature, in events and in files, where they have one there."""
