"""HTTP bodies ⇄ rides: each client gets its response in the format of its request.

The format is recognized by the body's shape, so every prediction path accepts all of them:

    {"instances": [ride, …]}                      Vertex AI, KServe V1, TensorFlow Serving
    {"dataframe_split" | "dataframe_records" | "inputs": …}, text/csv   MLflow's /invocations
    {"inputs": [{"name": …, "datatype": …, …}, …]}   Open Inference Protocol (KServe V2): Triton, MLServer
    {"calls": [[PU, DO, distance, …], …]}         BigQuery remote function
    [ride or ride event, …], or one per line      a plain list, or JSON Lines, answered item by item
    {"ride": ride, "ride_id": …}                  the course's event
    ride                                          the course's web service

In `instances`, `inputs` and lists a ride may also be an array of values in the order of a BigQuery call, as
Vertex AI's batch prediction writes the rows of a CSV file or a BigQuery table.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable
from typing import Any

import msgspec

from functions.errors import InvalidRide, UnreadableBody
from functions.inference_protocol import inference_response, is_inference_request, parse_tensors
from functions.json_decoding import decode_json, decode_text
from functions.ride_tables import parse_arguments, parse_each, parse_table
from functions.rides import RIDE_FIELDS, Prediction, Ride, is_null, parse_ride, parse_ride_event

JSON_LINES_TYPES = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines"}
)
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]+)""", re.ASCII | re.IGNORECASE)
_WESTERN_CHARSETS = frozenset({"iso8859-1", "cp1252"})
"""Character sets of CSV that are accepted if the content type names them, by Python's names."""


class InvalidBigQueryCall(InvalidRide):
    """A BigQuery call that cannot be answered: a 400 makes BigQuery stop and show the error."""

    status = 400


class DecodedRequest(msgspec.Struct, frozen=True):
    """The rides of a request, and how to encode its response."""

    rides: list[Ride]
    encode: Callable[[list[Prediction]], Any]
    """One prediction per ride → the response as a JSON-serializable object."""
    repaired: list[str]
    """JSON pointers to impossible distances, which were read as not recorded."""


def decode_request(body: bytes | bytearray, content_type: str, model_name: str = "") -> DecodedRequest:
    """Decodes a request's body, as JSON unless `content_type` is `text/csv` or one of `JSON_LINES_TYPES`.

    `model_name` is the model's name in the request's path, which some responses repeat.

    Raises:
        UnreadableBody: the body is in none of the formats.
        InvalidRide: rides are invalid; each problem has a pointer.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "text/csv":
        return _decode_csv(body, content_type)
    if media_type in JSON_LINES_TYPES:
        lines = [line for line in body.splitlines() if line.strip()]
        return _decode_list([decode_json(line, f"#/{number}") for number, line in enumerate(lines)])
    document = decode_json(body)
    if isinstance(document, list):
        return _decode_list(document)
    if not isinstance(document, dict):
        raise UnreadableBody("must be a JSON object or array that holds rides")
    for name, decode in _FORMATS.items():
        if name in document:
            if name == "inputs" and is_inference_request(document[name]):
                return _decode_tensors(document, model_name)
            return decode(document[name], f"#/{name}")
    return _decode_item(document, "#")


def _decode_item(document: object, pointer: str) -> DecodedRequest:
    """A ride or a ride event, answered as in the course."""
    repaired: list[str] = []
    if isinstance(document, dict) and "ride" in document:
        event = parse_ride_event(document, pointer, repaired)
        return DecodedRequest([event.ride], lambda predictions: predictions[0].event(event.ride_id), repaired)

    def encode(predictions: list[Prediction]) -> dict[str, Any]:
        # The course's web service says "duration" where its events say "ride_duration".
        name = predictions[0].target.removeprefix("ride_")
        return {name: predictions[0].value, "model_version": predictions[0].version}

    return DecodedRequest([_parse_record(document, pointer, repaired)], encode, repaired)


def _parse_record(document: object, pointer: str, repaired: list[str]) -> Ride:
    """A ride as an object, or as an array in the order of its fields."""
    if isinstance(document, list):
        return parse_arguments(document, pointer, repaired)
    return parse_ride(document, pointer, repaired)


def _decode_list(documents: list[Any]) -> DecodedRequest:
    items = parse_each(documents, lambda document, number: _decode_item(document, f"#/{number}"))
    return DecodedRequest(
        [item.rides[0] for item in items],
        lambda predictions: [item.encode([one]) for item, one in zip(items, predictions, strict=True)],
        [pointer for item in items for pointer in item.repaired],
    )


def _batch(rides: list[Ride], repaired: list[str]) -> DecodedRequest:
    return DecodedRequest(
        rides, lambda predictions: {"predictions": [each.value for each in predictions]}, repaired
    )


def _decode_records(documents: object, pointer: str) -> DecodedRequest:
    """An array of rides."""
    if not isinstance(documents, list):
        raise UnreadableBody("must be an array of rides", pointer)
    repaired: list[str] = []
    return _batch(
        parse_each(
            documents, lambda document, number: _parse_record(document, f"{pointer}/{number}", repaired)
        ),
        repaired,
    )


def _decode_inputs(document: object, pointer: str) -> DecodedRequest:
    """MLflow's `inputs`: columns by name, records, or a single ride."""
    if not isinstance(document, dict):
        return _decode_records(document, pointer)
    repaired: list[str] = []
    lengths = {len(values) if isinstance(values, list) else -1 for values in document.values()}
    if lengths == {-1}:
        return _batch([parse_ride(document, pointer, repaired)], repaired)
    if len(lengths) > 1:
        raise UnreadableBody("must have columns of equal length", pointer)
    columns = list(document)
    rows = list(zip(*document.values(), strict=True))

    def locate(row: int, column: int) -> str:
        # #/inputs/COLUMN/ROW here, not #/inputs/ROW/COLUMN.
        return f"{pointer}/{columns[column]}/{row}"

    return _batch(parse_table(columns, rows, pointer, locate, repaired), repaired)


def _decode_tensors(document: dict[str, Any], model_name: str) -> DecodedRequest:
    """An inference request of the Open Inference Protocol."""
    repaired: list[str] = []
    rides = parse_tensors(document["inputs"], "#/inputs", repaired)
    request_id = document.get("id")
    return DecodedRequest(
        rides, lambda predictions: inference_response(predictions, model_name, request_id), repaired
    )


def _decode_split(document: object, pointer: str) -> DecodedRequest:
    """pandas' split format: `{"columns": […], "data": [[…], …]}`."""
    if not isinstance(document, dict):
        raise UnreadableBody('must be an object {"columns": […], "data": […]}', pointer)
    columns, rows = document.get("columns"), document.get("data")
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise UnreadableBody("must be an array of column names", f"{pointer}/columns")
    if not isinstance(rows, list):
        raise UnreadableBody("must be an array of rows", f"{pointer}/data")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            raise UnreadableBody(f"must be an array of {len(columns)} values", f"{pointer}/data/{number}")

    def locate(row: int, column: int) -> str:
        return f"{pointer}/data/{row}/{column}"

    repaired: list[str] = []
    return _batch(parse_table(columns, rows, f"{pointer}/columns", locate, repaired), repaired)


def _decode_csv(body: bytes | bytearray, content_type: str) -> DecodedRequest:
    """A header row with column names, then one ride per row; empty cells are unknown values."""
    text = io.StringIO(_csv_text(body, content_type), newline="")
    try:
        lines = list(csv.reader(text, strict=True))
    except csv.Error as error:
        raise UnreadableBody(f"is not valid CSV: {error}") from error
    if not any(lines):
        raise UnreadableBody("is empty; the first row must hold the column names")
    columns, *rows = (line for line in lines if line)
    for number, row in enumerate(rows):
        if len(row) != len(columns):
            raise UnreadableBody(f"must have {len(columns)} cells", f"#/{number}")
    values = [[_cell_value(cell) for cell in row] for row in rows]

    def locate(row: int, column: int) -> str:
        return f"#/{row}/{columns[column].strip()}"

    repaired: list[str] = []
    return _batch(parse_table(columns, values, "#", locate, repaired), repaired)


def _csv_text(body: bytes | bytearray, content_type: str) -> str:
    """Text in UTF-8, or in the character set that the content type names."""
    found = _CHARSET.search(content_type)
    try:
        charset = codecs.lookup(found[1]).name if found else ""
    except LookupError:
        charset = ""
    if charset in _WESTERN_CHARSETS:
        return body.decode(charset, errors="replace")
    return decode_text(body)


def _cell_value(cell: str) -> object:
    """The JSON value that a CSV cell stands for."""
    try:
        # Unlike JSON, Python takes 1_30 and digits of any script for numbers.
        return float(cell) if cell.isascii() and "_" not in cell else cell
    except ValueError:
        return cell or None


def _decode_calls(calls: object, pointer: str) -> DecodedRequest:
    """BigQuery's calls, each a list of arguments; a NULL among the first three gives a NULL reply."""
    if not isinstance(calls, list):
        raise UnreadableBody("must be an array of calls", pointer)
    expected = f"must be an array of 3 or 4 arguments: {', '.join(RIDE_FIELDS)}"
    for number, call in enumerate(calls):
        if not isinstance(call, list) or len(call) not in (3, 4):
            raise UnreadableBody(expected, f"{pointer}/{number}")
    complete = [number for number, call in enumerate(calls) if not any(map(is_null, call[:3]))]
    repaired: list[str] = []
    try:
        rides = parse_each(
            complete, lambda number, _: parse_arguments(calls[number], f"{pointer}/{number}", repaired)
        )
    except InvalidRide as error:
        raise InvalidBigQueryCall(*error.problems) from error

    def encode(predictions: list[Prediction]) -> dict[str, list[float | None]]:
        replies: list[float | None] = [None] * len(calls)
        for number, prediction in zip(complete, predictions, strict=True):
            replies[number] = prediction.value
        return {"replies": replies}

    return DecodedRequest(rides, encode, repaired)


_FORMATS: dict[str, Callable[[object, str], DecodedRequest]] = {
    "instances": _decode_records,
    "dataframe_records": _decode_records,
    "dataframe_split": _decode_split,
    "inputs": _decode_inputs,
    "calls": _decode_calls,
}
