import numpy as np
import pytest

from jobs.capacity_study.traffic import BURST, DAY, RIDES_BY_HOUR, burst, constant, count_rides, taxi_day


def test_a_day_has_the_given_rate_and_the_taxis_shape():
    day = taxi_day(10.0)

    assert day.mean == pytest.approx(10)
    assert day.peak == pytest.approx(10 * max(RIDES_BY_HOUR) / np.mean(RIDES_BY_HOUR), rel=0.02)
    assert day.seconds == DAY


def test_a_burst_is_one_minute_of_twenty_times_the_rate():
    traffic = burst(3.0)
    steps = traffic.steps(1.0)

    assert traffic.peak == 3 * BURST
    assert (steps == 3 * BURST).sum() == 60


def test_arrivals_are_a_poisson_process():
    times = constant(50.0).arrivals(seed=1)
    gaps = np.diff(times)

    assert len(times) == pytest.approx(30_000, rel=0.03)
    assert gaps.min() >= 0
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)
    assert np.array_equal(times, constant(50.0).arrivals(seed=1))


def test_arrivals_follow_the_rates():
    counts = np.histogram(taxi_day(0.5).arrivals(seed=1), bins=24, range=(0, DAY))[0]

    assert np.corrcoef(counts, RIDES_BY_HOUR)[0, 1] > 0.99


def test_the_table_is_the_real_month(real_months):
    parts = count_rides(str(real_months["2021-03"]))

    assert len(parts) == 288
    assert tuple(parts.reshape(24, -1).sum(axis=1).astype(int)) == RIDES_BY_HOUR
