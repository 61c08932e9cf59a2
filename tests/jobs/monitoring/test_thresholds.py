from collections import Counter

import pytest

from jobs.monitoring.coverage import Coverage
from jobs.monitoring.drift import FEWEST_RIDES
from jobs.monitoring.thresholds import Limits, Usual, measure

NONE: Counter[str] = Counter()


def coverage(rides: int, unseen: float) -> Coverage:
    """Of rides of which so many are from new zones."""
    return Coverage(
        rides=rides,
        unseen_zones=unseen,
        expected_zones=0.0,
        unseen_pairs=unseen,
        expected_pairs=0.0,
        without_rides=0,
        silent=[],
        rejected=NONE,
        rejected_share=0.0,
        rejected_share_before=0.0,
        waiting=NONE,
    )


@pytest.mark.parametrize("rides", [1, 5, FEWEST_RIDES - 1])
def test_of_a_handful_of_rides_nothing_is_said(rides: int) -> None:
    assert measure(Limits(), [], None, coverage(rides, 1.0), Usual()) == []


def test_of_more_rides_new_zones_are_named() -> None:
    beyond = [each.name for each in measure(Limits(), [], None, coverage(500, 0.2), Usual()) if each.exceeded]
    assert beyond == ["coverage/unseen_zones", "coverage/unseen_pairs"]
