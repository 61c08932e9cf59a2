"""Rides with what was predicted for them and what they took: what a report is made of."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from functions.features import RideColumns
from jobs.metrics import Minutes
from jobs.trips.records import Mask, Trips, broken_rules, columns_of, mended_distances, minutes_of

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Rides:
    """Rides that a model is for, [n] each, and how many there were that it is not for."""

    columns: RideColumns
    pickup: npt.NDArray[np.datetime64]
    """New York's clock; NaT where it is unknown."""
    actual: Minutes
    """NaN where nobody knows, as of rides that have not ended."""
    by_version: Mapping[str, Minutes] = field(default_factory=dict)
    """Version of a model → what it predicted, [n]; NaN where it did not."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Why a ride is none that the model is for → how many."""
    waiting: Counter[str] = field(default_factory=Counter)
    """What is missing of a ride that is not in these yet → how many; only in a stream."""

    @classmethod
    def of(cls, trips: Trips) -> tuple[Self, Mask]:
        """The trips that a model is for, and which of all trips these are; as `score` chooses them."""
        keep = np.ones(len(trips.PULocationID), bool)
        rejected: Counter[str] = Counter()
        for rule, broken in broken_rules(trips).items():
            if count := int((keep & broken).sum()):
                rejected[rule] = count
            keep &= ~broken
        kept = Trips._make(column[keep] for column in trips)
        kept = kept._replace(trip_distance=mended_distances(kept))
        return cls(columns_of(kept), kept.pickup_datetime, minutes_of(kept), rejected=rejected), keep

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """All rides of at least one part."""
        parts = list(parts)
        versions = sorted({version for part in parts for version in part.by_version})
        columns = zip(*(part.columns for part in parts), strict=True)

        def unknown(part: Self) -> Minutes:
            return np.full(len(part), np.nan)

        return cls(
            RideColumns._make(np.concatenate(column) for column in columns),
            np.concatenate([part.pickup for part in parts]),
            np.concatenate([part.actual for part in parts]),
            {
                version: np.concatenate([part.by_version.get(version, unknown(part)) for part in parts])
                for version in versions
            },
            sum((part.rejected for part in parts), Counter()),
            sum((part.waiting for part in parts), Counter()),
        )

    def __len__(self) -> int:
        return len(self.actual)

    @property
    def predicted(self) -> Minutes:
        """By the newest version that predicted a ride; NaN where none did."""
        newest = np.full(len(self), np.nan)
        for version in sorted(self.by_version, key=age):
            minutes = self.by_version[version]
            newest = np.where(np.isnan(minutes), newest, minutes)
        return newest

    @property
    def rejected_share(self) -> float:
        """Of all rides that came; NaN if none did."""
        came = len(self) + self.rejected.total()
        return self.rejected.total() / came if came else float("nan")

    def only(self, places: npt.NDArray[Any]) -> Self:
        """Some of the rides: a mask or places."""
        return type(self)(
            RideColumns._make(column[places] for column in self.columns),
            self.pickup[places],
            self.actual[places],
            {version: minutes[places] for version, minutes in self.by_version.items()},
            self.rejected,
            self.waiting,
        )


def age(version: str) -> tuple[bool, int, str]:
    """Sorts versions, the newest last: the registry's numbers after all other names."""
    number = _NUMBER.fullmatch(version)
    return bool(number), int(version) if number else 0, version
