"""Rides with their predicted and actual durations: the input of a report."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from functions.features import RideColumns
from jobs.metrics import Minutes
from jobs.storage.columns import Mask
from jobs.trips.records import Trips, repaired_distances, rule_violations, to_ride_columns, trip_minutes


@dataclass(frozen=True)
class Rides:
    """Rides that the model accepts, [n] each, and how many others there were."""

    columns: RideColumns
    pickup: npt.NDArray[np.datetime64]
    """Local time in New York; NaT if unknown."""
    actual: Minutes
    """NaN if unknown, for example because the ride has not ended."""
    predictions_by_version: Mapping[str, Minutes] = field(default_factory=dict)
    """Model version → its predictions, [n]; NaN where it made none."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Why the model does not accept a ride → number of such rides."""
    unmatched: Counter[str] = field(default_factory=Counter)
    """What a ride of the stream still lacks → number of such rides."""

    @classmethod
    def from_trips(cls, trips: Trips) -> tuple[Self, Mask]:
        """The trips that the model accepts, by the rules of `score`, and a mask of them among all trips."""
        accepted = np.ones(len(trips.PULocationID), bool)
        rejected: Counter[str] = Counter()
        for rule, broken in rule_violations(trips).items():
            if count := int((accepted & broken).sum()):
                rejected[rule] = count
            accepted &= ~broken
        valid = Trips._make(column[accepted] for column in trips)
        valid = valid._replace(trip_distance=repaired_distances(valid))
        columns = to_ride_columns(valid)
        return cls(columns, valid.pickup_datetime, trip_minutes(valid), rejected=rejected), accepted

    @classmethod
    def concatenate(cls, parts: Iterable[Self]) -> Self:
        """All rides of at least one part."""
        parts = list(parts)
        versions = sorted({version for part in parts for version in part.predictions_by_version})
        columns = zip(*(part.columns for part in parts), strict=True)

        def predictions(part: Self, version: str) -> Minutes:
            return part.predictions_by_version.get(version, np.full(len(part), np.nan))

        return cls(
            RideColumns._make(np.concatenate(column) for column in columns),
            np.concatenate([part.pickup for part in parts]),
            np.concatenate([part.actual for part in parts]),
            {version: np.concatenate([predictions(part, version) for part in parts]) for version in versions},
            sum((part.rejected for part in parts), Counter()),
            sum((part.unmatched for part in parts), Counter()),
        )

    def __len__(self) -> int:
        return len(self.actual)

    @property
    def predicted(self) -> Minutes:
        """Prediction of the newest version that made one, [n]; NaN where none did."""
        newest = np.full(len(self), np.nan)
        for version in sorted(self.predictions_by_version, key=version_sort_key):
            minutes = self.predictions_by_version[version]
            newest = np.where(np.isnan(minutes), newest, minutes)
        return newest

    @property
    def rejected_share(self) -> float:
        """Share of rejected rides among all rides read; NaN if there were none."""
        total = len(self) + self.rejected.total()
        return self.rejected.total() / total if total else float("nan")

    def select(self, rows: npt.NDArray[Any]) -> Self:
        """Some of the rides, by mask or by row indices."""
        return type(self)(
            RideColumns._make(column[rows] for column in self.columns),
            self.pickup[rows],
            self.actual[rows],
            {version: minutes[rows] for version, minutes in self.predictions_by_version.items()},
            self.rejected,
            self.unmatched,
        )


def version_sort_key(version: str) -> tuple[bool, int, str]:
    """Sorts versions from old to new: the registry's numbers come after all other names."""
    is_number = version.isdecimal()
    return is_number, int(version) if is_number else 0, version
