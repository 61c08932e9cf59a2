from datetime import datetime
from typing import Any

import pytest

from functions.errors import InvalidRide
from functions.rides import Ride, parse_ride, parse_ride_event

RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}


def problems(document: Any, read: Any = parse_ride) -> dict[str, str]:
    with pytest.raises(InvalidRide) as caught:
        read(document)
    return {problem.pointer: problem.detail for problem in caught.value.problems}


@pytest.mark.parametrize("zone", [130, 130.0, "130", "130.0", " 130 ", "0130"])
def test_a_zone_may_be_an_integer_float_or_string(zone: Any) -> None:
    assert parse_ride(RIDE | {"PULocationID": zone}) == Ride(130, 205, 3.66)


@pytest.mark.parametrize(
    "zone",
    [0, -1, 266, 10**30, 130.5, float("nan"), float("inf"), "", "130_205", "1e2", "٣", "x", True, [], {}],
)
def test_an_invalid_zone_is_rejected(zone: Any) -> None:
    assert "taxi zone, 1 to 265" in problems(RIDE | {"DOLocationID": zone})["#/DOLocationID"]


@pytest.mark.parametrize("distance", [0, 0.01, 100, 100.0])
def test_distances_up_to_100_miles_are_accepted(distance: float) -> None:
    assert parse_ride(RIDE | {"trip_distance": distance}).trip_distance == distance


@pytest.mark.parametrize(
    "distance",
    [-0.01, 100.01, 244152, 10**400, float("nan"), float("inf"), float("-inf"), "3.66", True, [], {}],
)
def test_an_invalid_distance_is_rejected(distance: Any) -> None:
    assert list(problems(RIDE | {"trip_distance": distance})) == ["#/trip_distance"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021-03-01T08:30:00", datetime(2021, 3, 1, 8, 30)),
        ("2021-03-01 08:30", datetime(2021, 3, 1, 8, 30)),
        ("2021-03-01T13:30:00Z", datetime(2021, 3, 1, 8, 30)),
        ("2021-07-01T12:30:00+00:00", datetime(2021, 7, 1, 8, 30)),
        ("2021-03-01T14:30:00.250+01:00", datetime(2021, 3, 1, 8, 30, 0, 250000)),
        (None, None),
    ],
)
def test_a_pickup_time_is_converted_to_new_york_time(text: str | None, expected: datetime | None) -> None:
    assert parse_ride(RIDE | {"pickup_datetime": text}).pickup_datetime == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2021-03-01", "2021-13-01T00:00:00", "0001-01-01T00:00:00Z", 1614587400, True]
)
def test_an_invalid_time_is_rejected(text: Any) -> None:
    assert "ISO 8601" in problems(RIDE | {"pickup_datetime": text})["#/pickup_datetime"]


def test_one_error_lists_every_invalid_field() -> None:
    assert problems({"trip_distance": -1}) == {
        "#/PULocationID": "is missing; it must be a taxi zone, 1 to 265",
        "#/DOLocationID": "is missing; it must be a taxi zone, 1 to 265",
        "#/trip_distance": "must be 0 to 100 miles",
    }


@pytest.mark.parametrize("document", [None, 1, "ride", [], True, 1.5])
def test_a_ride_must_be_an_object(document: Any) -> None:
    assert "must be an object" in problems(document)["#"]


@pytest.mark.parametrize("ride_id", [256, "256", "", "Żółć", 0, -5, 2**63 - 1])
def test_a_ride_id_is_returned_unchanged(ride_id: Any) -> None:
    parsed = parse_ride_event({"ride": RIDE, "ride_id": ride_id}).ride_id
    assert parsed == ride_id
    assert type(parsed) is type(ride_id)


@pytest.mark.parametrize("ride_id", [None, 1.5, True, [], {}, 2**63, "x" * 1025, "\ud800"])
def test_an_invalid_ride_id_is_rejected(ride_id: Any) -> None:
    assert list(problems({"ride": RIDE, "ride_id": ride_id}, parse_ride_event)) == ["#/ride_id"]


def test_errors_of_an_event_point_into_its_ride() -> None:
    assert list(problems({"ride": RIDE | {"trip_distance": None}}, parse_ride_event)) == [
        "#/ride/trip_distance",
        "#/ride_id",
    ]
    assert list(problems({"ride_id": 1}, parse_ride_event)) == ["#/ride"]
