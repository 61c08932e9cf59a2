"""Zones and pairs of zones that nobody learned from, zones that have fallen silent, rejected rides."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from functions.features import Ids
from functions.zones import ZONES
from jobs.monitoring.dataset import Rides

FEWEST_OF_A_ZONE = 30
"""Rides that began in a zone before, for its silence to mean something."""


@dataclass(frozen=True)
class Coverage:
    """What the reference knew of these rides; shares are of the rides that a model is for."""

    rides: int
    unseen_zones: float
    """Share of rides that begin or end in a zone where none did in the reference."""
    unseen_pairs: float
    """Share of rides between two zones between which none went in the reference."""
    expected_zones: float
    expected_pairs: float
    """Of both, what is to be expected of rides like the reference's: see `_expected`."""
    without_rides: int
    """Zones in which no ride begins now."""
    silent: list[str]
    """Names of those of them in which at least `FEWEST_OF_A_ZONE` rides began in the reference."""
    rejected: Counter[str]
    rejected_share: float
    rejected_share_before: float
    """Of all rides that came, now and in the reference; NaN where that is not known."""
    waiting: Counter[str]
    """See `Rides.waiting`."""


def coverage_of(now: Rides, reference: Rides) -> Coverage:
    """Of rides of which there is at least one."""
    ours, theirs = now.columns, reference.columns
    seen = np.isin(ours.PULocationID, theirs.PULocationID) & np.isin(ours.DOLocationID, theirs.DOLocationID)
    pairs, known = (rides.PULocationID * 1000 + rides.DOLocationID for rides in (ours, theirs))
    begun, before = (np.bincount(rides.PULocationID, minlength=max(ZONES) + 1) for rides in (ours, theirs))
    return Coverage(
        len(now),
        float((~seen).mean()),
        float((~np.isin(pairs, known)).mean()),
        _expected(theirs.PULocationID) + _expected(theirs.DOLocationID),
        _expected(known),
        sum(int(begun[zone] == 0) for zone in ZONES),
        [ZONES[zone].name for zone in ZONES if begun[zone] == 0 and before[zone] >= FEWEST_OF_A_ZONE],
        now.rejected,
        now.rejected_share,
        reference.rejected_share,
        now.waiting,
    )


def _expected(seen: Ids) -> float:
    """Of new ones, by Good and Turing: as likely as one of those before was the only one of its kind."""
    _, counts = np.unique(seen, return_counts=True)
    return float((counts == 1).sum() / len(seen))
