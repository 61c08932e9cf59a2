from datetime import date

import numpy as np
import pytest

from functions.zones import ZONES
from jobs.trips.cleaning import clean_trips, read_trips
from jobs.trips.synthetic import City, generate_month, write_month


@pytest.fixture(scope="module")
def trips(tmp_path_factory):
    path = tmp_path_factory.mktemp("trips") / "month.parquet"
    write_month(date(2021, 1, 1), path, rides=20_000)
    return read_trips([str(path)])


@pytest.fixture(scope="module")
def clean(trips):
    return clean_trips(trips).trips


def test_a_month_is_the_same_every_time():
    first = generate_month(date(2021, 1, 1), rides=500)

    assert first.equals(generate_month(date(2021, 1, 1), rides=500))
    assert not first.equals(generate_month(date(2021, 2, 1), rides=500))


def test_most_rides_are_valid_and_some_are_bad(trips, clean):
    assert len(trips) == 20_000
    assert 0.95 < len(clean) / len(trips) < 0.99
    assert trips.trip_distance.max() > 1_000
    assert 0.02 < (trips.trip_distance == 0).mean() < 0.05
    assert trips.PULocationID.eq(264).any()
    assert set(trips.PULocationID) | set(trips.DOLocationID) <= set(ZONES)


def test_rides_are_like_those_of_green_taxis(clean):
    # 2021-01: 14.0 and 16.9 minutes, 2.6 miles
    assert 12 < clean.duration.median() < 18
    assert 14 < clean.duration.mean() < 19
    assert 2 < clean.trip_distance.median() < 4
    boroughs = clean.PULocationID.map(lambda zone: ZONES[zone].borough).value_counts(normalize=True)
    assert 0.34 < boroughs["Manhattan"] < 0.44
    assert 0.23 < boroughs["Brooklyn"] < 0.33


def test_the_afternoon_is_slower_than_the_early_morning(clean):
    recorded = clean[clean.trip_distance > 1]
    speed = recorded.trip_distance / recorded.duration * 60
    by_hour = speed.groupby(recorded.pickup_datetime.dt.hour).median()

    assert by_hour[16] < 0.7 * by_hour[5]
    assert by_hour.idxmin() in range(13, 19)


def test_distance_and_hour_explain_most_of_the_duration(clean):
    """Learnable: distance and hour alone leave less than half of the variance."""
    recorded = clean[clean.trip_distance > 0]
    hour = recorded.pickup_datetime.dt.hour
    shapes = [recorded.trip_distance * (hour == each) for each in range(24)]
    columns = np.column_stack([*shapes, np.ones(len(recorded))])
    fitted = columns @ np.linalg.lstsq(columns, recorded.duration, rcond=None)[0]

    assert 0.5 < 1 - np.var(recorded.duration - fitted) / np.var(recorded.duration) < 0.95


def test_zones_are_as_far_apart_as_on_the_map():
    city = City()
    position = {int(zone): index for index, zone in enumerate(city.zones)}
    harlem, midtown, jfk = position[74], position[161], position[132]

    assert 2.5 < city.miles[harlem, midtown] < 6
    assert 12 < city.miles[harlem, jfk] < 22
