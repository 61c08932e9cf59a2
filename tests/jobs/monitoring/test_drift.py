from dataclasses import replace

import numpy as np
import pytest

from functions.features import RideColumns
from jobs.monitoring.binning import FEATURES
from jobs.monitoring.dataset import Rides
from jobs.monitoring.drift import FALSE_ALARM_RATE, align_hours_of_week, measure_drift

BY_NAME = {feature.name: feature for feature in FEATURES}
WEEK = 7 * 24 * 60


def make_rides(count, seed=0, begin="2021-03-01", minutes=4 * WEEK):
    """Random rides over four weeks between 59 zones, 4% of them without a recorded distance."""
    rng = np.random.default_rng(seed)
    pickup = np.datetime64(begin, "us") + rng.integers(0, minutes, count).astype("timedelta64[m]")
    clock = (pickup - pickup.astype("datetime64[D]")).astype("timedelta64[m]").astype(float)
    weekday = (pickup.astype("datetime64[D]").astype(int) + 3) % 7
    zones = rng.integers(1, 60, (2, count))
    miles = rng.lognormal(1, 0.7, count) * (rng.random(count) > 0.04)
    columns = RideColumns(*zones, miles, clock, weekday.astype(float))
    actual = 3 + 4 * miles * rng.lognormal(0, 0.3, count)
    return Rides(columns, pickup, actual, {"1": 3 + 4 * miles})


def test_psi_follows_the_formula() -> None:
    rides = make_rides(1000)

    reference, current = (np.array(counts) for counts in ([100] * 7, [50, 150, 100, 100, 100, 100, 100]))
    shares = [(counts + 0.5) / (700 + 3.5) for counts in (reference, current)]
    expected = float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())

    def with_weekdays(counts):
        subset = rides.select(np.arange(700))
        return replace(
            subset, columns=subset.columns._replace(pickup_weekday=np.repeat(np.arange(7.0), counts))
        )

    drift = measure_drift(BY_NAME["pickup_weekday"], with_weekdays(current), with_weekdays(reference))
    assert drift.psi == pytest.approx(expected, rel=1e-12)
    assert drift.psi == pytest.approx(0.0784, abs=0.001)
    assert drift.largest_change == "Mon: 14.3% → 7.2%"
    assert drift.current_rides == drift.reference_rides == 700


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_the_same_rides_have_not_drifted(feature) -> None:
    rides = make_rides(5000)
    drift = measure_drift(feature, rides, rides)
    assert drift.psi == 0
    assert drift.wasserstein == 0 or np.isnan(drift.wasserstein)
    assert drift.reference.sum() == pytest.approx(1)


@pytest.mark.parametrize("count", [150, 1000])
def test_few_unchanged_rides_stay_within_the_noise(count) -> None:
    """One in a thousand exceeds the noise by chance alone; of 200 tries a few at most."""
    reference = make_rides(5_000)
    exceeding = {
        (feature.name, seed)
        for seed in range(1, 26)
        for current in [make_rides(count, seed)]
        for feature in FEATURES
        for drift in [measure_drift(feature, current, reference)]
        if drift.psi > drift.psi_noise
    }
    assert len(exceeding) <= 2, f"{exceeding} at a false alarm rate of {FALSE_ALARM_RATE}"


def test_the_wasserstein_distance_is_in_the_feature_s_unit() -> None:
    rides = make_rides(5000)
    later = replace(rides, actual=rides.actual + 2.5)
    drift = measure_drift(BY_NAME["actual_duration"], later, rides)
    assert drift.wasserstein == pytest.approx(2.5)
    assert drift.unit == "minutes"
    assert drift.psi > 0.1


def test_distances_that_are_no_longer_recorded_are_drift() -> None:
    rides = make_rides(5000)
    without = replace(rides, columns=rides.columns._replace(trip_distance=np.zeros(5000)))
    drift = measure_drift(BY_NAME["trip_distance"], without, rides)
    assert drift.psi > 1
    assert drift.largest_change.startswith("not recorded: 3.9% → ")


def test_a_zone_with_few_rides_has_no_bin_of_its_own() -> None:
    rides = make_rides(5000)
    zones = rides.columns.PULocationID.copy()
    zones[:3] = 200  # Riverdale, the Bronx
    drift = measure_drift(
        BY_NAME["PULocationID"], rides, replace(rides, columns=rides.columns._replace(PULocationID=zones))
    )
    assert "other Bronx" in drift.labels
    assert "Riverdale/North Riverdale/Fieldston" not in drift.labels


def test_features_with_too_few_rides_are_marked() -> None:
    rides = make_rides(5000)
    for feature in FEATURES:
        drift = measure_drift(feature, rides.select(np.arange(0)), rides)
        assert not drift.has_enough_rides
        assert not measure_drift(feature, rides, rides.select(np.arange(99))).has_enough_rides
    unknown = replace(rides, actual=np.full(5000, np.nan))
    assert not measure_drift(BY_NAME["actual_duration"], unknown, rides).has_enough_rides


def test_a_sunday_is_compared_with_sundays() -> None:
    reference, sunday = make_rides(20_000), make_rides(500, 1, "2021-04-11", 24 * 60)
    pickup = sunday.pickup.copy()
    pickup[:3] = np.datetime64("2009-01-01T00:00:00", "us")
    pickup[3] = np.datetime64("NaT", "us")
    current, aligned = align_hours_of_week(replace(sunday, pickup=pickup), reference)
    assert len(current) == 496
    assert set(aligned.columns.pickup_weekday) == {6.0}
    assert measure_drift(BY_NAME["pickup_weekday"], current, aligned).psi < 0.01


def test_some_hours_are_compared_with_the_same_hours() -> None:
    reference, evening = make_rides(20_000), make_rides(300, 1, "2021-04-14 18:00", 5 * 60)
    _, aligned = align_hours_of_week(evening, reference)
    assert set(aligned.columns.pickup_weekday) == {2.0}
    assert set(aligned.columns.pickup_minute // 60) == {18, 19, 20, 21, 22}


def test_a_whole_week_is_compared_with_everything() -> None:
    reference = make_rides(20_000)
    current = make_rides(3000, 1, "2021-04-11", WEEK)
    assert align_hours_of_week(current, reference) == (current, reference)
