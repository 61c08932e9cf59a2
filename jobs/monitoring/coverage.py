"""Coverage: zones and zone pairs unlike the training data, zones that lost all rides, and rejected rides."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from functions.features import ZoneIds
from functions.zones import ZONES
from jobs.monitoring.dataset import Rides

MIN_RIDES_PER_ZONE = 30
"""Pick-ups in the reference from which a zone without current rides counts as lost."""


@dataclass(frozen=True)
class Coverage:
    """How well the reference covers the current rides; shares are of the rides that the model accepts."""

    rides: int
    unseen_zones: float
    """Share of rides that begin or end in a zone where none did in the reference."""
    unseen_pairs: float
    """Share of rides between two zones with no such ride in the reference."""
    expected_unseen_zones: float
    expected_unseen_pairs: float
    """The same shares as expected of rides like the reference's; see `_good_turing`."""
    zones_without_rides: int
    """Zones in which no current ride begins."""
    lost_zones: list[str]
    """Names of those among them with at least `MIN_RIDES_PER_ZONE` pick-ups in the reference."""
    rejected: Counter[str]
    rejected_share: float
    reference_rejected_share: float
    """Shares of all rides read; NaN if unknown."""
    unmatched: Counter[str]
    """See `Rides.unmatched`."""
    known_rides: int = 0
    """Rides that are also among the reference's, with the same zones, distance, times and duration."""


def measure_coverage(current: Rides, reference: Rides) -> Coverage:
    """Compares the zones of at least one ride on each side."""
    columns, reference_columns = current.columns, reference.columns
    seen = np.isin(columns.PULocationID, reference_columns.PULocationID)
    seen &= np.isin(columns.DOLocationID, reference_columns.DOLocationID)
    expected_zones = _good_turing(reference_columns.PULocationID)
    expected_zones += _good_turing(reference_columns.DOLocationID)
    both = (columns, reference_columns)
    pairs, reference_pairs = (side.PULocationID * 1000 + side.DOLocationID for side in both)
    pickups, reference_pickups = (np.bincount(side.PULocationID, minlength=max(ZONES) + 1) for side in both)
    empty = [zone for zone in ZONES if pickups[zone] == 0]
    return Coverage(
        rides=len(current),
        unseen_zones=float((~seen).mean()),
        unseen_pairs=float((~np.isin(pairs, reference_pairs)).mean()),
        expected_unseen_zones=expected_zones,
        expected_unseen_pairs=_good_turing(reference_pairs),
        zones_without_rides=len(empty),
        lost_zones=[ZONES[zone].name for zone in empty if reference_pickups[zone] >= MIN_RIDES_PER_ZONE],
        rejected=current.rejected,
        rejected_share=current.rejected_share,
        reference_rejected_share=reference.rejected_share,
        unmatched=current.unmatched,
        known_rides=_count_known(current, reference),
    )


def _count_known(current: Rides, reference: Rides) -> int:
    """How many current rides the reference has, too; those without a pick-up time are too alike to tell."""
    keys, reference_keys = (
        pd.util.hash_pandas_object(
            pd.DataFrame(
                {
                    "pickup": side.pickup,
                    "actual": side.actual,
                    "from": side.columns.PULocationID,
                    "to": side.columns.DOLocationID,
                    "miles": side.columns.trip_distance,
                }
            ),
            index=False,
        ).to_numpy()
        for side in (current, reference)
    )
    return int((np.isin(keys, reference_keys) & ~np.isnat(current.pickup)).sum())


def _good_turing(ids: ZoneIds) -> float:
    """Good-Turing estimate of the probability of an unseen id: the share of ids that occur once."""
    _, counts = np.unique(ids, return_counts=True)
    return float((counts == 1).sum() / len(ids))
