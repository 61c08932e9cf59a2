from datetime import datetime, timedelta

import numpy as np
import pytest

from functions.features import FEATURES, FeatureTable, feature_matrix, ride_columns
from functions.rides import Ride
from functions.zones import ZONES

NUMERIC = [name for name in FEATURES if name != "PU_DO"]


def rides(count: int) -> list[Ride]:
    generator = np.random.default_rng(7)
    return [
        Ride(
            int(generator.integers(1, 266)),
            int(generator.integers(1, 266)),
            float(round(generator.uniform(0, 100), 2)),
            datetime(2021, 1, 1) + timedelta(seconds=int(generator.integers(0, 10**8)))
            if generator.random() < 0.7
            else None,
        )
        for _ in range(count)
    ]


def test_features_have_the_same_bits_for_one_ride_and_for_a_table() -> None:
    sample = rides(500)
    together = feature_matrix(ride_columns(sample), NUMERIC)
    alone = np.vstack([feature_matrix(ride_columns([ride]), NUMERIC) for ride in sample])
    assert together.dtype == np.float32
    assert together.tobytes() == alone.tobytes()


def test_a_rides_own_fields_are_unchanged() -> None:
    table = FeatureTable(ride_columns([Ride(130, 205, 3.66)]))
    assert {
        name: table[name].tolist() for name in ("PULocationID", "DOLocationID", "trip_distance", "PU_DO")
    } == {
        "PULocationID": [130],
        "DOLocationID": [205],
        "trip_distance": [3.66],
        "PU_DO": ["130_205"],
    }


def test_every_feature_gives_a_value_for_each_ride() -> None:
    table = FeatureTable(ride_columns(rides(50)))
    assert {column.shape for column in table.values()} == {(50,)}


@pytest.mark.parametrize(
    ("time", "minute", "weekday"),
    [
        (datetime(2021, 3, 1, 0, 0), 0, 0),
        (datetime(2021, 3, 7, 23, 59, 59), 1439, 6),
        (datetime(2021, 1, 1, 8, 30), 510, 4),
        (datetime(1969, 12, 31, 12, 0), 720, 2),
    ],
)
def test_clock_and_calendar(time: datetime, minute: int, weekday: int) -> None:
    table = FeatureTable(ride_columns([Ride(1, 2, 1.0, time)]))
    assert table["pickup_minute"].tolist() == [minute]
    assert table["pickup_weekday"].tolist() == [weekday]


def test_unknown_values_are_nan() -> None:
    table = FeatureTable(ride_columns([Ride(264, 265, 0.0)]))
    assert np.isnan(table["known_distance"]).all()
    assert np.isnan(table["pickup_minute"]).all()
    assert np.isnan(table["zone_distance"]).all()


def test_distances_between_zones() -> None:
    times_square, jfk = 230, 132
    rides = [Ride(times_square, jfk, 1.0), Ride(43, 43, 1.0)]
    miles = FeatureTable(ride_columns(rides))["zone_distance"]
    assert miles[0] == pytest.approx(12.7, abs=0.8)
    assert miles[1] == 0


def test_the_table_of_zones_is_complete() -> None:
    assert sorted(ZONES) == list(range(1, 266))
    assert [zone_id for zone_id, zone in ZONES.items() if zone.longitude is None] == [264, 265]
    assert ZONES[132].name == "JFK Airport"
