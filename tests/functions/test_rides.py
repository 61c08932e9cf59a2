from datetime import datetime
from typing import Any

import numpy as np
import pytest

from functions.errors import InvalidRide
from functions.rides import Ride, is_recorded, parse_ride, parse_ride_event

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
    [
        0,
        -1,
        266,
        10**30,
        130.5,
        float("nan"),
        float("inf"),
        "",
        "130_205",
        "1_30",
        "1e2",
        "٣",
        "x",
        True,
        [],
        {},
    ],
)
def test_an_invalid_zone_is_rejected(zone: Any) -> None:
    assert "taxi zone, 1 to 265" in problems(RIDE | {"DOLocationID": zone})["#/DOLocationID"]


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("foo", 'like 130, not "foo"'),
        ("JFK Airport", "JFK Airport is zone 132"),
        ("Queens/jfk airport ", "JFK Airport is zone 132"),
        ("jfk", "JFK Airport is zone 132"),
        ("Corona", "Corona is zone 56 or 57"),
        ("x" * 1000, 'not "' + "x" * 40 + '..."'),
        ('"\n\ud800', r'not "\"\n\ud800"'),
        (266, "not 266"),
        (130.5, "not 130.5"),
        (10**400, "not an integer"),
        (True, "not a boolean"),
    ],
)
def test_an_invalid_zone_is_shown_with_what_to_send(zone: Any, hint: str) -> None:
    detail = problems(RIDE | {"DOLocationID": zone})["#/DOLocationID"]
    assert hint in detail
    assert detail.isascii()
    assert len(detail) < 200


@pytest.mark.parametrize("distance", [0, 0.01, 100, 100.0, "3.66", " 3.66\n", "+1e1", ".5", "5."])
def test_distances_up_to_100_miles_are_accepted(distance: Any) -> None:
    repaired: list[str] = []
    assert parse_ride(RIDE | {"trip_distance": distance}, "#", repaired).trip_distance == float(distance)
    assert repaired == []


@pytest.mark.parametrize(
    "distance",
    [
        -0.01,
        100.01,
        244152,
        10**400,
        -(10**400),
        float("inf"),
        float("-inf"),
        "-1",
        "1e400",
        "-Infinity",
        "inf",
    ],
)
def test_an_impossible_distance_counts_as_not_recorded(distance: Any) -> None:
    repaired: list[str] = []
    ride = parse_ride(RIDE | {"trip_distance": distance}, "#/instances/3", repaired)
    assert ride == Ride(130, 205, 0.0)
    assert repaired == ["#/instances/3/trip_distance"]
    event = parse_ride_event({"ride": RIDE | {"trip_distance": distance}, "ride_id": 1})
    assert event.ride == ride
    assert event.repaired == ("trip_distance",)


def test_an_event_with_a_possible_distance_is_not_repaired() -> None:
    assert parse_ride_event({"ride": RIDE, "ride_id": 1}).repaired == ()


def test_one_rule_for_distances_holds_for_a_number_and_for_a_column() -> None:
    miles = [-1.0, -0.0, 0.0, 5e-324, 3.66, 100.0, 100.00000000000001, float("inf"), float("nan")]
    expected = [False, False, False, True, True, True, False, False, False]
    assert [is_recorded(each) for each in miles] == expected
    assert is_recorded(np.array(miles)).tolist() == expected


def test_minus_zero_is_zero() -> None:
    for distance in (-0.0, "-0.0"):
        assert str(parse_ride(RIDE | {"trip_distance": distance}).trip_distance) == "0.0"


@pytest.mark.parametrize(
    "distance", ["n/a", "3,66", "1_30", "٣", "0x1", "3.66 mi", "--1", "NULL", True, [], {}, "1e", "infinite"]
)
def test_an_invalid_distance_is_rejected(distance: Any) -> None:
    assert "must be a number of miles" in problems(RIDE | {"trip_distance": distance})["#/trip_distance"]


@pytest.mark.parametrize("name", ["PULocationID", "trip_distance"])
@pytest.mark.parametrize("value", [None, float("nan"), "", " ", "NaN", "nan", "NaT"])
def test_null_in_any_form_is_missing(name: str, value: Any) -> None:
    assert "is missing" in problems(RIDE | {name: value})[f"#/{name}"]


TIME = "2021-03-01T08:30:00"


@pytest.mark.parametrize(
    "names",
    [
        ("pulocationid", "dolocationid", "trip_distance", "lpep_pickup_datetime"),
        ("PUlocationID", "DOlocationID", "trip_miles", "pickup_datetime"),
        ("PULOCATIONID", "DOLOCATIONID", "Trip_Distance", "Trip_Pickup_DateTime"),
        ("PULocationID", "DOLocationID", "TRIP_MILES", "tpep_pickup_datetime"),
    ],
)
def test_tlcs_names_of_all_years_and_taxis_mean_the_same(names: tuple[str, ...]) -> None:
    document = {"VendorID": 2, "fare_amount": 12.5} | dict(zip(names, (130, 205, 3.66, TIME), strict=True))
    assert parse_ride(document) == Ride(130, 205, 3.66, datetime(2021, 3, 1, 8, 30))
    del document[names[2]]
    assert list(problems(document)) == ["#/trip_distance"]
    assert list(problems(document | {names[0]: "x", names[2]: None})) == [f"#/{names[0]}", f"#/{names[2]}"]


@pytest.mark.parametrize(
    "name", ["pic\u212aup_datetime", "trip_distance ", "tr\u0131p_miles", "dropoff_datetime"]
)
def test_other_names_are_ignored(name: str) -> None:
    assert parse_ride(RIDE | {name: "x"}) == Ride(130, 205, 3.66)


def test_two_names_of_a_field_must_have_the_same_value() -> None:
    two = RIDE | {"trip_miles": 3.66, "lpep_pickup_datetime": None, "tpep_pickup_datetime": TIME}
    assert parse_ride(two) == Ride(130, 205, 3.66, datetime(2021, 3, 1, 8, 30))
    assert parse_ride(two | {"pickup_datetime": TIME + "-05:00", "pulocationid": "130"}) == parse_ride(two)
    found = problems(
        two | {"trip_miles": 3.67, "pickup_datetime": "2021-03-01T08:31:00", "dolocationid": 206}
    )
    assert list(found) == ["#/trip_miles", "#/pickup_datetime", "#/dolocationid"]
    assert found["#/trip_miles"].startswith("differs from trip_distance")
    assert found["#/pickup_datetime"].startswith("differs from tpep_pickup_datetime")
    assert list(problems(RIDE | {"trip_miles": "x"})) == ["#/trip_miles"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021-03-01T08:30:00", datetime(2021, 3, 1, 8, 30)),
        ("2021-03-01 08:30", datetime(2021, 3, 1, 8, 30)),
        ("2021-03-01T13:30:00Z", datetime(2021, 3, 1, 8, 30)),
        ("2021-07-01T12:30:00+00:00", datetime(2021, 7, 1, 8, 30)),
        ("2021-03-01T14:30:00.250+01:00", datetime(2021, 3, 1, 8, 30, 0, 250000)),
        ("2021-03-01T08:30:00.123456789", datetime(2021, 3, 1, 8, 30, 0, 123456)),
        (" 2021-03-01T08:30:00\n", datetime(2021, 3, 1, 8, 30)),
        ("2021-03-01 13:30:00+00", datetime(2021, 3, 1, 8, 30)),
        ("2021-03-01 13:30:00.000000+00", datetime(2021, 3, 1, 8, 30)),
        ("2021-03-01 13:30:00 UTC", datetime(2021, 3, 1, 8, 30)),
        ("2021-03-01 13:30:00.5 UTC", datetime(2021, 3, 1, 8, 30, 0, 500000)),
        ("03/01/2021 08:30:00 AM", datetime(2021, 3, 1, 8, 30)),
        ("3/1/2021 8:30 am", datetime(2021, 3, 1, 8, 30)),
        ("03/13/2021 12:00:00 AM", datetime(2021, 3, 13, 0, 0)),
        ("03/13/2021, 12:59:59 PM", datetime(2021, 3, 13, 12, 59, 59)),
        ("12/31/2021 11:59:59PM", datetime(2021, 12, 31, 23, 59, 59)),
        *((null, None) for null in (None, "", " ", "NaT", "nat", "NaN", float("nan"))),
    ],
)
def test_a_pickup_time_is_converted_to_new_york_time(text: str | None, expected: datetime | None) -> None:
    assert parse_ride(RIDE | {"pickup_datetime": text}).pickup_datetime == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("yesterday", 'not "yesterday"'),
        ("2021-03-01", "the time of day is missing"),
        ("2021-13-01T00:00:00", "not"),
        ("0001-01-01T00:00:00Z", "not"),
        ("03/01/2021 08:30:00", "without AM or PM"),
        ("03/01/2021 8:30", "without AM or PM"),
        ("13/01/2021 08:30:00 AM", "month must be in 1..12"),
        ("02/29/2021 08:30:00 AM", "day is out of range"),
        ("03/01/2021 13:30:00 PM", "the hour is 1 to 12"),
        ("03/01/2021 00:30:00 AM", "the hour is 1 to 12"),
        ("03/01/21 08:30:00 AM", "not"),
        ("٠٣/٠١/٢٠٢١ ٠٨:٣٠:٠٠ AM", "not"),
        ("None UTC", "not"),
        (1614587400, 'date_format="iso"'),
        (1614587400000.0, 'date_format="iso"'),
        ("1614587400", 'date_format="iso"'),
        (True, "not a boolean"),
        ([], "not an array"),
    ],
)
def test_an_invalid_time_is_rejected(text: Any, hint: str) -> None:
    detail = problems(RIDE | {"pickup_datetime": text})["#/pickup_datetime"]
    assert "ISO 8601" in detail
    assert hint in detail


def test_one_error_lists_every_invalid_field() -> None:
    assert problems({"trip_distance": "far"}) == {
        "#/PULocationID": "is missing; it must be a taxi zone, 1 to 265",
        "#/DOLocationID": "is missing; it must be a taxi zone, 1 to 265",
        "#/trip_distance": 'must be a number of miles like 3.66, not "far"',
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
