import json
from typing import Any

import pytest

from functions.codecs import MAX_PROBLEMS, decode_request
from functions.errors import InvalidRide, UnreadableBody
from functions.rides import Prediction, Ride

RIDE = {"PULocationID": 10, "DOLocationID": 50, "trip_distance": 40}
PREDICTIONS = [Prediction(minutes, "ride_duration", "7") for minutes in (26.4, 21.3, 5.0)]


def respond(body: Any, content_type: str = "application/json") -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    decoded = decode_request(content, content_type)
    return decoded.encode(PREDICTIONS[: len(decoded.rides)])


def pointers(body: Any, content_type: str = "application/json") -> list[str]:
    with pytest.raises(InvalidRide) as caught:
        respond(body, content_type)
    return [problem.pointer for problem in caught.value.problems]


def test_the_courses_web_service() -> None:
    assert respond(RIDE) == {"duration": 26.4, "model_version": "7"}


def test_the_courses_event() -> None:
    assert respond({"ride": RIDE, "ride_id": 256}) == {
        "model": "ride_duration_prediction_model",
        "version": "7",
        "prediction": {"ride_duration": 26.4, "ride_id": 256},
    }


def test_a_plain_list_is_answered_item_by_item() -> None:
    first, second = respond([RIDE, {"ride": RIDE, "ride_id": "a"}])
    assert first == {"duration": 26.4, "model_version": "7"}
    assert second["prediction"] == {"ride_duration": 21.3, "ride_id": "a"}


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [RIDE, RIDE]},
        {"dataframe_records": [RIDE, RIDE]},
        {"dataframe_split": {"columns": list(RIDE), "index": [0, 1], "data": [list(RIDE.values())] * 2}},
        {"inputs": {name: [value] * 2 for name, value in RIDE.items()}},
        {"inputs": [RIDE, RIDE]},
    ],
    ids=lambda body: next(iter(body)),
)
def test_batches_in_vertex_and_mlflow_form(body: Any) -> None:
    assert respond(body) == {"predictions": [26.4, 21.3]}


def test_csv_with_unknown_values() -> None:
    header = b"PULocationID,DOLocationID,trip_distance,pickup_datetime\r\n"
    lines = header + b"10,50.0,40,\r\n1,2,3,2021-03-01T08:30\r\n"
    assert respond(lines, "text/csv; charset=utf-8") == {"predictions": [26.4, 21.3]}
    assert [ride.pickup_datetime is None for ride in decode_request(lines, "text/csv").rides] == [True, False]


def test_bigquery_calls_keep_their_order_and_null_stays_null() -> None:
    calls = [[130, 205, 3.66], [None, 205, 3.66], ["10", "50", 40, "2021-03-01T08:30:00"], [1, 2, 3, None]]
    body = {"requestId": "1", "caller": "c", "sessionUser": "u", "userDefinedContext": {}, "calls": calls}
    assert respond(body) == {"replies": [26.4, None, 21.3, 5.0]}


def test_empty_batches_have_empty_answers() -> None:
    assert respond({"instances": []}) == {"predictions": []}
    assert respond({"calls": []}) == {"replies": []}
    assert respond([]) == []


def test_another_target_changes_the_field_name() -> None:
    prediction = Prediction(26.4, "ride_cost", "7")
    decoded = decode_request(json.dumps(RIDE).encode(), "")
    assert decoded.encode([prediction]) == {"cost": 26.4, "model_version": "7"}


INVALID_RIDE = RIDE | {"trip_distance": -1}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (INVALID_RIDE, "#/trip_distance"),
        ({"ride": INVALID_RIDE, "ride_id": 1}, "#/ride/trip_distance"),
        ([RIDE, INVALID_RIDE], "#/1/trip_distance"),
        ({"instances": [RIDE, INVALID_RIDE]}, "#/instances/1/trip_distance"),
        ({"dataframe_records": [INVALID_RIDE]}, "#/dataframe_records/0/trip_distance"),
        (
            {"dataframe_split": {"columns": list(INVALID_RIDE), "data": [list(INVALID_RIDE.values())]}},
            "#/dataframe_split/data/0/2",
        ),
        ({"inputs": {name: [value] for name, value in INVALID_RIDE.items()}}, "#/inputs/trip_distance/0"),
        ({"calls": [[None, 1, 2], [1, 2, -3]]}, "#/calls/1/2"),
        ({"calls": [[1, 2]]}, "#/calls/0"),
        ({"instances": 5}, "#/instances"),
        ({"instances": [5]}, "#/instances/0"),
        ({"inputs": {"a": [1], "b": [1, 2]}}, "#/inputs"),
        ({"dataframe_split": 5}, "#/dataframe_split"),
        ({"dataframe_split": {"columns": 5, "data": []}}, "#/dataframe_split/columns"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, "#/dataframe_split/data/0"),
    ],
)
def test_each_problem_has_a_pointer(body: Any, pointer: str) -> None:
    assert pointers(body) == [pointer]


def test_csv_problems_have_pointers_too() -> None:
    assert pointers(b"PULocationID,DOLocationID,trip_distance\n1,2,3\n1,x,3\n", "text/csv") == [
        "#/1/DOLocationID"
    ]
    assert pointers(b"PULocationID,DOLocationID\n1\n", "text/csv") == ["#/0"]


@pytest.mark.parametrize("body", [b"", b"{", b"5", b"null", b'"x"', b"\xff", b"{a}", b"[" * 100_000])
def test_an_unreadable_body_is_400(body: bytes) -> None:
    with pytest.raises(UnreadableBody) as caught:
        decode_request(body, "application/json")
    assert caught.value.status == 400


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b'"a\n'])
def test_invalid_csv_is_400(body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        decode_request(body, "text/csv")


def test_an_invalid_bigquery_call_is_400() -> None:
    with pytest.raises(InvalidRide) as caught:
        respond({"calls": [[1, 2, -3]]})
    assert caught.value.status == 400


def test_the_number_of_listed_problems_is_limited() -> None:
    assert len(pointers({"instances": [{}] * 1000})) == MAX_PROBLEMS


def test_zones_may_be_strings_or_floats_in_every_format() -> None:
    bodies = [
        {"instances": [{"PULocationID": "130", "DOLocationID": 205.0, "trip_distance": 3.66}]},
        {"calls": [["130", "205", 3.66]]},
        {"inputs": {"PULocationID": ["130.0"], "DOLocationID": [205], "trip_distance": [3.66]}},
    ]
    for body in bodies:
        assert decode_request(json.dumps(body).encode(), "").rides == [Ride(130, 205, 3.66)]
