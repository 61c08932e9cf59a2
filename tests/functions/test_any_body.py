"""Whatever bytes are sent: rides, or an error that says what is wrong. Nothing else ever comes of them."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from functions.dialects import read_rides
from functions.errors import InvalidRide
from functions.events import read_message
from functions.rides import Prediction, parse_ride_event

NAMES = some.sampled_from(
    [
        *("PULocationID", "DOLocationID", "trip_distance", "pickup_datetime", "ride", "ride_id"),
        *("instances", "dataframe_split", "dataframe_records", "inputs", "columns", "calls"),
        *("message", "attributes", "data", "data_base64", "~/", ""),
    ]
)
VALUES = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False, allow_infinity=False)
    | some.text(max_size=20)
    | some.sampled_from([130, "130", 130.0, 3.66, "2021-03-01T08:30:00Z", 265, 266, -1]),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(NAMES, inner, max_size=4),
    max_leaves=25,
)


def check(error: InvalidRide) -> None:
    """An error that helps: where it is, and what would be right."""
    assert error.problems
    assert all(problem.pointer.startswith("#") and problem.detail for problem in error.problems)
    assert error.status in (400, 422)


def answered(body: bytes, content_type: str) -> None:
    try:
        asked = read_rides(body, content_type)
    except InvalidRide as error:
        check(error)
    else:
        made = [Prediction(1.5, "ride_duration", "1") for _ in asked.rides]
        json.dumps(asked.write(made), allow_nan=False)


@given(VALUES)
def test_any_json_over_http(document: Any) -> None:
    answered(json.dumps(document).encode(), "application/json")


@given(some.binary(max_size=200), some.sampled_from(["", "application/json", "text/csv"]))
def test_any_bytes_over_http(body: bytes, content_type: str) -> None:
    answered(body, content_type)


@given(VALUES)
def test_any_event(document: Any) -> None:
    try:
        parse_ride_event(document)
    except InvalidRide as error:
        check(error)


@given(
    VALUES | some.binary(max_size=200),
    some.sampled_from(["application/json", "application/cloudevents+json"]),
)
def test_any_delivery(document: Any, content_type: str) -> None:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    try:
        message = read_message({"content-type": content_type}, body)
    except InvalidRide as error:
        check(error)
    else:
        assert isinstance(message.data, bytes)
