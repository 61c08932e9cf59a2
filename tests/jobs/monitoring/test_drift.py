from dataclasses import replace

import numpy as np
import pytest

from functions.features import RideColumns
from jobs.monitoring.binning import FEATURES
from jobs.monitoring.dataset import Rides
from jobs.monitoring.drift import CHANCE, drift_of, like_with_like

BY_NAME = {feature.name: feature for feature in FEATURES}
WEEK = 7 * 24 * 60


def some_rides(count, seed=0, begin="2021-03-01", minutes=4 * WEEK):
    """Rides of some weeks between a few dozen zones, most of them by day."""
    draw = np.random.default_rng(seed)
    pickup = np.datetime64(begin, "us") + draw.integers(0, minutes, count).astype("timedelta64[m]")
    clock = (pickup - pickup.astype("datetime64[D]")).astype("timedelta64[m]").astype(float)
    weekday = (pickup.astype("datetime64[D]").astype(int) + 3) % 7
    zones = draw.integers(1, 60, (2, count))
    miles = draw.lognormal(1, 0.7, count) * (draw.random(count) > 0.04)
    columns = RideColumns(*zones, miles, clock, weekday.astype(float))
    took = 3 + 4 * miles * draw.lognormal(0, 0.3, count)
    return Rides(columns, pickup, took, {"1": 3 + 4 * miles})


def test_psi_is_what_the_formula_says() -> None:
    rides = some_rides(1000)

    before, now = (np.array(counts) for counts in ([100] * 7, [50, 150, 100, 100, 100, 100, 100]))
    shares = [(counts + 0.5) / (700 + 3.5) for counts in (before, now)]
    expected = float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())

    def of(counts):
        some = rides.only(np.arange(700))
        return replace(some, columns=some.columns._replace(pickup_weekday=np.repeat(np.arange(7.0), counts)))

    drift = drift_of(BY_NAME["pickup_weekday"], of(now), of(before))
    assert drift.psi == pytest.approx(expected, rel=1e-12)
    assert drift.psi == pytest.approx(0.0784, abs=0.001)
    assert drift.most == "Mon: 14.3% → 7.2%"
    assert drift.rides == drift.reference == 700


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_the_same_rides_have_not_drifted(feature) -> None:
    rides = some_rides(5000)
    drift = drift_of(feature, rides, rides)
    assert drift.psi == 0
    assert drift.moved == 0 or np.isnan(drift.moved)
    assert drift.before.sum() == pytest.approx(1)


@pytest.mark.parametrize("count", [150, 1000])
def test_few_rides_of_the_same_city_are_within_chance(count) -> None:
    """By chance alone one in a thousand goes beyond; of 200 tries a few at most."""
    reference = some_rides(5_000)
    beyond = {
        (feature.name, seed)
        for seed in range(1, 26)
        for now in [some_rides(count, seed)]
        for feature in FEATURES
        for drift in [drift_of(feature, now, reference)]
        if drift.psi > drift.chance
    }
    assert len(beyond) <= 2, f"{beyond} at a chance of {CHANCE}"


def test_how_far_a_number_has_moved_is_told_in_its_unit() -> None:
    rides = some_rides(5000)
    later = replace(rides, actual=rides.actual + 2.5)
    drift = drift_of(BY_NAME["actual_duration"], later, rides)
    assert drift.moved == pytest.approx(2.5)
    assert drift.unit == "minutes"
    assert drift.psi > 0.1


def test_distances_that_are_not_recorded_any_more_are_a_change() -> None:
    rides = some_rides(5000)
    without = replace(rides, columns=rides.columns._replace(trip_distance=np.zeros(5000)))
    drift = drift_of(BY_NAME["trip_distance"], without, rides)
    assert drift.psi > 1
    assert drift.most.startswith("not recorded: 3.9% → ")


def test_a_small_zone_is_no_bin_of_its_own() -> None:
    rides = some_rides(5000)
    rare = rides.columns.PULocationID.copy()
    rare[:3] = 200  # Riverdale, the Bronx
    drift = drift_of(
        BY_NAME["PULocationID"], rides, replace(rides, columns=rides.columns._replace(PULocationID=rare))
    )
    assert "other Bronx" in drift.labels
    assert "Riverdale/North Riverdale/Fieldston" not in drift.labels


def test_without_rides_there_is_nothing_to_say() -> None:
    rides = some_rides(5000)
    for feature in FEATURES:
        drift = drift_of(feature, rides.only(np.arange(0)), rides)
        assert not drift.enough
        assert not drift_of(feature, rides, rides.only(np.arange(99))).enough
    unknown = replace(rides, actual=np.full(5000, np.nan))
    assert not drift_of(BY_NAME["actual_duration"], unknown, rides).enough


def test_a_sunday_is_compared_with_sundays() -> None:
    reference, sunday = some_rides(20_000), some_rides(500, 1, "2021-04-11", 24 * 60)
    wrong = sunday.pickup.copy()
    wrong[:3] = np.datetime64("2009-01-01T00:00:00", "us")
    wrong[3] = np.datetime64("NaT", "us")
    ours, theirs = like_with_like(replace(sunday, pickup=wrong), reference)
    assert len(ours) == 496
    assert set(theirs.columns.pickup_weekday) == {6.0}
    assert drift_of(BY_NAME["pickup_weekday"], ours, theirs).psi < 0.01


def test_some_hours_are_compared_with_the_same_hours() -> None:
    reference, evening = some_rides(20_000), some_rides(300, 1, "2021-04-14 18:00", 5 * 60)
    _, theirs = like_with_like(evening, reference)
    assert set(theirs.columns.pickup_weekday) == {2.0}
    assert set(theirs.columns.pickup_minute // 60) == {18, 19, 20, 21, 22}


def test_a_whole_week_is_compared_with_everything() -> None:
    reference = some_rides(20_000)
    now = some_rides(3000, 1, "2021-04-11", WEEK)
    assert like_with_like(now, reference) == (now, reference)
