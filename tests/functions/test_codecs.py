import gzip
import json
from datetime import datetime
from typing import Any

import pytest

from functions.codecs import decode_request
from functions.errors import InvalidRide, UnreadableBody
from functions.ride_tables import MAX_PROBLEMS
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


TIME = "2021-03-01T08:30:00"
TLC_RECORD = {
    "VendorID": 2,
    "lpep_pickup_datetime": TIME,
    "pulocationid": "130",
    "DOLocationID": 205.0,
    "trip_miles": "3.66",
}
TLC_CSV = b" VendorID, lpep_pickup_datetime,PULocationID,DOLOCATIONID,Trip_Distance\n2,%b,130,205, 3.66\n"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (TLC_RECORD, ""),
        ([TLC_RECORD], ""),
        ({"ride": TLC_RECORD, "ride_id": 1}, ""),
        ({"instances": [TLC_RECORD]}, ""),
        ({"instances": [[130, "205", 3.66, TIME]], "parameters": {}}, ""),
        ([[130, "205", 3.66, TIME]], ""),
        ({"dataframe_records": [TLC_RECORD]}, ""),
        ({"dataframe_split": {"columns": [*TLC_RECORD], "data": [[*TLC_RECORD.values()]]}}, ""),
        ({"inputs": TLC_RECORD}, ""),
        ({"inputs": {name: [value] for name, value in TLC_RECORD.items()}}, ""),
        ({"calls": [[130, "205", "3.66", "2021-03-01T13:30:00Z"]]}, ""),
        ({"calls": [["130", 205, 3.66, "2021-03-01 13:30:00+00"]]}, ""),
        (TLC_CSV % TIME.encode(), "text/csv"),
        (TLC_CSV % b"03/01/2021 08:30:00 AM", 'Text/CSV;charset="UTF-8"; header=present'),
        (b"\xef\xbb\xbf" + TLC_CSV % TIME.encode(), "text/csv"),
        (TLC_CSV.replace(b"VendorID", b"Verk\xe4ufer") % TIME.encode(), "text/csv; charset=latin-1"),
        (b"\xef\xbb\xbf" + json.dumps(TLC_RECORD).encode(), "application/json; charset=utf-8"),
        (json.dumps(TLC_RECORD).encode() + b"\r\n\n", "application/x-ndjson"),
        (json.dumps([130, 205, 3.66, TIME]).encode(), "application/jsonlines"),
    ],
)
def test_a_ride_in_tlcs_spellings_is_the_same_in_every_format(body: Any, content_type: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    decoded = decode_request(content, content_type)
    assert decoded.rides == [Ride(130, 205, 3.66, datetime(2021, 3, 1, 8, 30))]
    assert decoded.repaired == []


def test_json_lines_are_answered_like_a_list() -> None:
    lines = b'{"ride": %b, "ride_id": "a"}\n\n[10, 50, 40]\n' % json.dumps(RIDE).encode()
    first, second = respond(lines, "application/jsonl; charset=utf-8")
    assert first["prediction"] == {"ride_duration": 26.4, "ride_id": "a"}
    assert second == {"duration": 21.3, "model_version": "7"}
    assert pointers(b"[1, 2, 3]\n{", "application/jsonl") == ["#/1"]
    assert pointers(b"[1, 2, 3]\n[1, 2, true]", "application/jsonl") == ["#/1/2"]


FAR = RIDE | {"trip_distance": 90000.5}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (FAR, "#/trip_distance"),
        ({"ride": RIDE | {"trip_distance": "-1"}, "ride_id": 1}, "#/ride/trip_distance"),
        ([RIDE, {"ride": FAR, "ride_id": 1}], "#/1/ride/trip_distance"),
        ({"instances": [RIDE, FAR]}, "#/instances/1/trip_distance"),
        ({"instances": [[1, 2, 3], [1, 2, -3]]}, "#/instances/1/2"),
        ({"dataframe_records": [FAR]}, "#/dataframe_records/0/trip_distance"),
        (
            {"dataframe_split": {"columns": ["x", *RIDE], "data": [["", 1, 2, 3], ["", 1, 2, "inf"]]}},
            "#/dataframe_split/data/1/3",
        ),
        (
            {"inputs": {"PULocationID": [1], "DOLocationID": [2], "Trip_Miles": [1e9]}},
            "#/inputs/Trip_Miles/0",
        ),
        ({"calls": [[None, 1, 2], [130, 205, 3.66, None], [43, 151, 90000.5, None]]}, "#/calls/2/2"),
    ],
)
def test_an_impossible_distance_fails_no_batch_and_is_reported(body: Any, pointer: str) -> None:
    decoded = decode_request(json.dumps(body).encode(), "")
    assert decoded.rides[-1].trip_distance == 0.0
    assert decoded.repaired == [pointer]


def test_an_impossible_distance_in_csv() -> None:
    table = b"PULocationID,DOLocationID,trip_miles\n1,2,3\n1,2,1e400\n"
    assert decode_request(table, "text/csv").repaired == ["#/1/trip_miles"]


def test_null_in_any_form_gives_a_null_reply() -> None:
    assert respond({"calls": [["NaN", 2, 3], [1, "", 3], [1, 2, "NaN"], [1, 2, 3, "NaT"]]}) == {
        "replies": [None, None, None, 26.4]
    }


def split(columns: list[str], *rows: list[Any]) -> Any:
    return {"dataframe_split": {"columns": columns, "data": rows}}


def test_a_column_must_not_be_there_twice() -> None:
    twice = [*RIDE, "trip_distance"]
    assert pointers(split(twice, [1, 2, 3, 4])) == ["#/dataframe_split/columns"]
    assert pointers(b"PULocationID,DOLocationID,trip_distance, trip_distance\n1,2,3,3", "text/csv") == ["#"]
    assert respond(split(["x", *RIDE, "x"], [0, 1, 2, 3, 0])) == {"predictions": [26.4]}


def test_columns_of_two_taxis_are_one_column_where_only_one_has_a_value() -> None:
    columns = ["lpep_pickup_datetime", "tpep_pickup_datetime", *RIDE]
    body = split(columns, [TIME, None, 1, 2, 3], [None, TIME, 1, 2, 3])
    first, second = decode_request(json.dumps(body).encode(), "").rides
    assert first == second
    assert first.pickup_datetime == datetime(2021, 3, 1, 8, 30)
    conflict = split(columns, [TIME, "2021-03-01T08:31:00", 1, 2, 3])
    assert pointers(conflict) == ["#/dataframe_split/data/0/1"]


@pytest.mark.parametrize(
    ("body", "content_type", "hint"),
    [
        (json.dumps(RIDE).encode("utf-16"), "", "send it in UTF-8"),
        (json.dumps(RIDE).encode("utf-16-le"), "", "send it in UTF-8"),
        (json.dumps(RIDE).encode("utf-32"), "", "send it in UTF-8"),
        ("PULocationID,DOLocationID".encode("utf-16"), "text/csv", "send it in UTF-8"),
        ("PULocationID,DOLocationID".encode("utf-16-be"), "text/csv; charset=utf-16", "send it in UTF-8"),
        (gzip.compress(b"{}", mtime=0), "", "content-encoding: gzip"),
        (gzip.compress(b"PULocationID", mtime=0), "text/csv", "content-encoding: gzip"),
        (b"PULocationID,Verk\xe4ufer", "text/csv", "charset=iso-8859-1"),
        (b"PULocationID;DOLocationID;trip_distance\n1;2;3", "text/csv", '["PULocationID;DOLocationID;'),
        ({"dataframe_split": {"columns": [0, 1, 2], "data": [[1, 2, 3]]}}, "", "column names"),
        (split(["a", "b", "c"], [1, 2, 3]), "", '["a", "b", "c"]'),
        ({"instances": [[1, 2]]}, "", "PULocationID, DOLocationID, trip_distance, pickup_datetime"),
        (split([*RIDE, "pickup_datetime"], [1, 2, 3, 1614587400000]), "", 'date_format="iso"'),
        ({"calls": [[1, 2, 3, "2021-03-01"]]}, "", "the time of day is missing"),
    ],
)
def test_what_is_wrong_with_a_body_is_said_with_a_remedy(body: Any, content_type: str, hint: str) -> None:
    with pytest.raises(InvalidRide) as caught:
        respond(body, content_type)
    assert hint in str(caught.value)


def tensor(name: str, data: list[Any], shape: Any = None, datatype: str = "FP64") -> Any:
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": data}


TENSORS = [
    tensor("PULocationID", [130, 10], datatype="INT64"),
    tensor("DOLocationID", ["205", "50"], datatype="BYTES"),
    tensor("trip_miles", [[3.66], [40.0]], [2, 1]),
    tensor("VendorID", [1, 2]),
]


def test_the_open_inference_protocol() -> None:
    body = json.dumps({"id": "a1", "inputs": TENSORS}).encode()
    decoded = decode_request(body, "", "ride-duration")
    assert decoded.rides == [Ride(130, 205, 3.66), Ride(10, 50, 40.0)]
    output = {"name": "ride_duration", "datatype": "FP64", "shape": [2], "data": [26.4, 21.3]}
    answer = {"model_name": "ride-duration", "model_version": "7", "id": "a1", "outputs": [output]}
    assert decoded.encode(PREDICTIONS[:2]) == answer
    assert respond({"inputs": TENSORS})["model_name"] == "ride_duration_prediction_model"
    assert "id" not in respond({"inputs": TENSORS})


@pytest.mark.parametrize(
    ("inputs", "pointer", "hint"),
    [
        ([tensor("input-0", [1, 2, 3], [1, 3])], "#/inputs/0/shape", "one tensor per field"),
        ([tensor("PULocationID", [1, 2], [3])], "#/inputs/0/data", "must have 3 values"),
        ([tensor("PULocationID", [1], ["x"])], "#/inputs/0/shape", "array of integers"),
        ([{"datatype": "INT64"}], "#/inputs/0", '"name"'),
        ([{"name": "x", "datatype": "FP64", "shape": [1]}], "#/inputs/0/data", "array of values"),
        ([*TENSORS[:2], tensor("trip_distance", [1])], "#/inputs", "same length"),
        ([tensor("trip_distance", [], [0])], "#/inputs", "at least one ride"),
        (TENSORS[:2], "#/inputs", "must include trip_distance"),
        ([*TENSORS[:2], tensor("trip_distance", [1, "far"])], "#/inputs/2/data/1", "number of miles"),
        ([*TENSORS[:2], tensor("trip_distance", [1, 2], [2, 1]), 5], "#/inputs/3", '"name"'),
    ],
)
def test_problems_with_tensors_have_pointers(inputs: Any, pointer: str, hint: str) -> None:
    with pytest.raises(InvalidRide, match=hint) as caught:
        respond({"inputs": inputs})
    assert [problem.pointer for problem in caught.value.problems] == [pointer]


INVALID_RIDE = RIDE | {"trip_distance": "far"}


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
        ({"calls": [[None, 1, 2], [1, 2, True]]}, "#/calls/1/2"),
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
        respond({"calls": [[1, 2, "far"]]})
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
