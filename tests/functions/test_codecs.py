import json
from typing import Any

import pytest

from functions.codecs import MOST_PROBLEMS, read_rides
from functions.errors import InvalidRide, UnreadableBody
from functions.rides import Prediction, Ride

RIDE = {"PULocationID": 10, "DOLocationID": 50, "trip_distance": 40}
MADE = [Prediction(minutes, "ride_duration", "7") for minutes in (26.4, 21.3, 5.0)]


def answered(body: Any, content_type: str = "application/json") -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    asked = read_rides(content, content_type)
    return asked.write(MADE[: len(asked.rides)])


def pointers(body: Any, content_type: str = "application/json") -> list[str]:
    with pytest.raises(InvalidRide) as caught:
        answered(body, content_type)
    return [problem.pointer for problem in caught.value.problems]


def test_the_courses_web_service() -> None:
    assert answered(RIDE) == {"duration": 26.4, "model_version": "7"}


def test_the_courses_event() -> None:
    assert answered({"ride": RIDE, "ride_id": 256}) == {
        "model": "ride_duration_prediction_model",
        "version": "7",
        "prediction": {"ride_duration": 26.4, "ride_id": 256},
    }


def test_a_plain_list_is_answered_item_by_item() -> None:
    first, second = answered([RIDE, {"ride": RIDE, "ride_id": "a"}])
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
    assert answered(body) == {"predictions": [26.4, 21.3]}


def test_csv_with_unknown_values() -> None:
    header = b"PULocationID,DOLocationID,trip_distance,pickup_datetime\r\n"
    lines = header + b"10,50.0,40,\r\n1,2,3,2021-03-01T08:30\r\n"
    assert answered(lines, "text/csv; charset=utf-8") == {"predictions": [26.4, 21.3]}
    assert [ride.pickup_datetime is None for ride in read_rides(lines, "text/csv").rides] == [True, False]


def test_bigquery_calls_keep_their_order_and_null_stays_null() -> None:
    calls = [[130, 205, 3.66], [None, 205, 3.66], ["10", "50", 40, "2021-03-01T08:30:00"], [1, 2, 3, None]]
    body = {"requestId": "1", "caller": "c", "sessionUser": "u", "userDefinedContext": {}, "calls": calls}
    assert answered(body) == {"replies": [26.4, None, 21.3, 5.0]}


def test_empty_batches_have_empty_answers() -> None:
    assert answered({"instances": []}) == {"predictions": []}
    assert answered({"calls": []}) == {"replies": []}
    assert answered([]) == []


def test_another_target_has_its_own_name() -> None:
    made = Prediction(26.4, "ride_cost", "7")
    assert read_rides(json.dumps(RIDE).encode(), "").write([made]) == {"cost": 26.4, "model_version": "7"}


BAD = RIDE | {"trip_distance": -1}


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (BAD, "#/trip_distance"),
        ({"ride": BAD, "ride_id": 1}, "#/ride/trip_distance"),
        ([RIDE, BAD], "#/1/trip_distance"),
        ({"instances": [RIDE, BAD]}, "#/instances/1/trip_distance"),
        ({"dataframe_records": [BAD]}, "#/dataframe_records/0/trip_distance"),
        (
            {"dataframe_split": {"columns": list(BAD), "data": [list(BAD.values())]}},
            "#/dataframe_split/data/0/2",
        ),
        ({"inputs": {name: [value] for name, value in BAD.items()}}, "#/inputs/trip_distance/0"),
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
def test_each_problem_has_a_pointer(body: Any, where: str) -> None:
    assert pointers(body) == [where]


def test_csv_problems_have_pointers_too() -> None:
    assert pointers(b"PULocationID,DOLocationID,trip_distance\n1,2,3\n1,x,3\n", "text/csv") == [
        "#/1/DOLocationID"
    ]
    assert pointers(b"PULocationID,DOLocationID\n1\n", "text/csv") == ["#/0"]


@pytest.mark.parametrize("body", [b"", b"{", b"5", b"null", b'"x"', b"\xff", b"{a}", b"[" * 100_000])
def test_what_cannot_be_read_is_400(body: bytes) -> None:
    with pytest.raises(UnreadableBody) as caught:
        read_rides(body, "application/json")
    assert caught.value.status == 400


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b'"a\n'])
def test_what_is_no_csv_is_400(body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        read_rides(body, "text/csv")


def test_bigquery_is_told_400_for_a_wrong_call() -> None:
    with pytest.raises(InvalidRide) as caught:
        answered({"calls": [[1, 2, -3]]})
    assert caught.value.status == 400


def test_one_answer_lists_a_bounded_number_of_problems() -> None:
    assert len(pointers({"instances": [{}] * 1000})) == MOST_PROBLEMS


def test_numbers_as_text_mean_the_same_zone_in_every_form() -> None:
    bodies = [
        {"instances": [{"PULocationID": "130", "DOLocationID": 205.0, "trip_distance": 3.66}]},
        {"calls": [["130", "205", 3.66]]},
        {"inputs": {"PULocationID": ["130.0"], "DOLocationID": [205], "trip_distance": [3.66]}},
    ]
    for body in bodies:
        assert read_rides(json.dumps(body).encode(), "").rides == [Ride(130, 205, 3.66)]
