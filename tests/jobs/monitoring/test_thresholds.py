from collections import Counter

import pytest

from jobs.monitoring.coverage import Coverage
from jobs.monitoring.drift import MIN_RIDES
from jobs.monitoring.thresholds import NO_BASELINE, Thresholds, run_checks

NONE: Counter[str] = Counter()


def coverage(rides: int, unseen: float) -> Coverage:
    """Coverage of rides of which the given share is from unseen zones."""
    return Coverage(
        rides=rides,
        unseen_zones=unseen,
        expected_unseen_zones=0.0,
        unseen_pairs=unseen,
        expected_unseen_pairs=0.0,
        zones_without_rides=0,
        lost_zones=[],
        rejected=NONE,
        rejected_share=0.0,
        reference_rejected_share=0.0,
        unmatched=NONE,
    )


@pytest.mark.parametrize("rides", [1, 5, MIN_RIDES - 1])
def test_a_handful_of_rides_is_not_checked(rides: int) -> None:
    assert run_checks(Thresholds(), [], None, coverage(rides, 1.0), NO_BASELINE) == []


def test_unseen_zones_of_more_rides_fail() -> None:
    checks = run_checks(Thresholds(), [], None, coverage(500, 0.2), NO_BASELINE)
    assert [check.name for check in checks if check.failed] == [
        "coverage/unseen_zones",
        "coverage/unseen_pairs",
    ]
