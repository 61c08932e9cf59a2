import math
from collections import Counter

import numpy as np
import pytest

from jobs.scoring.stats import ScoringStats

KNOWN = ScoringStats.of(np.array([10.0, 20.0]), np.array([13.0, 16.0]))
UNKNOWN = ScoringStats.of(np.array([60.0]), np.array([np.nan]))


def test_means_and_errors() -> None:
    assert (KNOWN.mean, KNOWN.mae, KNOWN.rmse) == (15.0, 3.5, pytest.approx(np.sqrt(12.5)))
    assert UNKNOWN.mean == 60.0
    assert math.isnan(UNKNOWN.rmse)
    assert math.isnan(ScoringStats().mean)


def test_stats_add_up() -> None:
    both = ScoringStats(rejected=Counter(short=2), repaired=Counter(miles=1))
    for one in (KNOWN, UNKNOWN, ScoringStats(rejected=Counter(short=1, long=1), repaired=Counter(miles=1))):
        both.add(one)
    assert (both.rows, both.predicted, both.compared) == (7, 3, 2)
    assert both.rejected == {"short": 3, "long": 1}
    assert both.repaired == {"miles": 2}
    assert both.mean == 30.0
    assert both.mae == KNOWN.mae
    assert both.standard_deviation == pytest.approx(np.std([10.0, 20.0, 60.0]), rel=1e-15)


def test_the_standard_deviation_keeps_its_digits_over_batches() -> None:
    rng = np.random.default_rng(1)
    predictions = 1e9 + rng.normal(0, 1, 10_000)
    stats = ScoringStats()
    assert math.isnan(stats.standard_deviation)
    for batch in np.split(predictions, [0, 1, 17, 5_000]):
        stats.add(ScoringStats.of(batch, np.full(len(batch), np.nan)))
    assert stats.standard_deviation == pytest.approx(predictions.std(), rel=1e-9)
    assert ScoringStats.of(predictions[:1], np.array([np.nan])).standard_deviation == 0.0
