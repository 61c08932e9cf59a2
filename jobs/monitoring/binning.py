"""The features checked for drift, and how their values are binned."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from functions.features import zone_distance
from functions.zones import ZONES
from jobs.monitoring.dataset import Rides

Numbers = npt.NDArray[np.float64]

BIN_COUNT = 10
"""Bins of a number, each with an equal share of the reference's rides."""
MIN_ZONE_SHARE = 0.005
"""Share of the reference's rides below which zones of a borough share one bin, to keep sampling noise low."""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HOURS = [f"{hour} h" for hour in range(24)]


class Bins(NamedTuple):
    """The bins of a feature."""

    labels: list[str]
    assign: Callable[[Numbers], npt.NDArray[np.int64]]
    """Values [n] → index of each one's label; NaN gets `len(labels)`."""


class Feature(NamedTuple):
    """A property of rides that the model uses or predicts."""

    name: str
    values: Callable[[Rides], Numbers]
    """[n], NaN if unknown."""
    make_bins: Callable[[Numbers], Bins]
    """Called with the reference's values."""
    unit: str = ""
    """Empty for categories."""
    missing_label: str = ""
    """Label of a bin for NaN; if empty, rides without a value are left out."""


def _quantile_bins(reference: Numbers) -> Bins:
    numbers = reference[~np.isnan(reference)]
    probabilities = np.linspace(0, 1, BIN_COUNT + 1)[1:-1]
    edges = np.unique(np.quantile(numbers, probabilities)) if len(numbers) else np.empty(0)
    names = [f"{edge:.3g}" for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(names)]
    labels = [f"below {names[0]}", *between, f"from {names[-1]}"] if names else ["any"]

    def assign(values: Numbers) -> npt.NDArray[np.int64]:
        return np.where(np.isnan(values), len(labels), np.searchsorted(edges, values, side="right"))

    return Bins(labels, assign)


def _category_bins(labels: Sequence[str]) -> Callable[[Numbers], Bins]:
    """One bin for each of the integers from 0."""
    return lambda _: Bins(list(labels), lambda values: values.astype(np.int64))


def _zone_bins(reference: Numbers) -> Bins:
    """One bin for each zone with enough rides, and one for the other zones of each borough."""
    rides = np.bincount(reference.astype(np.int64), minlength=max(ZONES) + 1)
    names = {
        zone_id: zone.name if rides[zone_id] >= MIN_ZONE_SHARE * len(reference) else f"other {zone.borough}"
        for zone_id, zone in ZONES.items()
    }
    labels = sorted(set(names.values()))
    indices = np.zeros(max(ZONES) + 1, np.int64)
    indices[list(names)] = [labels.index(name) for name in names.values()]
    return Bins(labels, lambda values: indices[values.astype(np.int64)])


def _recorded_miles(rides: Rides) -> Numbers:
    return np.where(rides.columns.trip_distance > 0, rides.columns.trip_distance, np.nan)


def _zone_distance(rides: Rides) -> Numbers:
    return zone_distance(rides.columns.PULocationID, rides.columns.DOLocationID).astype(np.float64)


FEATURES = (
    Feature("trip_distance", _recorded_miles, _quantile_bins, "miles", "not recorded"),
    Feature("pickup_hour", lambda rides: rides.columns.pickup_minute // 60, _category_bins(HOURS)),
    Feature("pickup_weekday", lambda rides: rides.columns.pickup_weekday, _category_bins(WEEKDAYS)),
    Feature("PULocationID", lambda rides: rides.columns.PULocationID.astype(np.float64), _zone_bins),
    Feature("DOLocationID", lambda rides: rides.columns.DOLocationID.astype(np.float64), _zone_bins),
    Feature("zone_distance", _zone_distance, _quantile_bins, "miles", "from or to an unknown zone"),
    Feature("predicted_duration", lambda rides: rides.predicted, _quantile_bins, "minutes"),
    Feature("actual_duration", lambda rides: rides.actual, _quantile_bins, "minutes"),
)
"""Named as in the model's signature, in events and in files, where they occur there."""
