"""HTTP bodies ⇄ rides: each client gets its response in the format of its request.

The format is recognized by the body's shape, so every prediction path accepts all of them:

    {"instances": [ride, …]}                      Vertex AI, KServe V1, TensorFlow Serving
    {"dataframe_split" | "dataframe_records" | "inputs": …}, text/csv   MLflow's /invocations
    {"calls": [[PU, DO, distance, …], …]}         BigQuery remote function
    [ride or ride event, …]                       a plain list, answered item by item
    {"ride": ride, "ride_id": …}                  the course's event
    ride                                          the course's web service
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from functions.errors import InvalidRide, Problem, UnreadableBody
from functions.json_decoding import decode_json
from functions.rides import Prediction, Ride, parse_ride, parse_ride_event

T = TypeVar("T")

MAX_PROBLEMS = 20
"""How many problems of a batch one response lists."""
RIDE_FIELDS = Ride.__struct_fields__
"""In the order of the BigQuery function's arguments."""


class InvalidBigQueryCall(InvalidRide):
    """A BigQuery call that cannot be answered: a 400 makes BigQuery stop and show the error."""

    status = 400


class DecodedRequest(msgspec.Struct, frozen=True):
    """The rides of a request, and how to encode its response."""

    rides: list[Ride]
    encode: Callable[[list[Prediction]], Any]
    """One prediction per ride → the response as a JSON-serializable object."""


def decode_request(body: bytes | bytearray, content_type: str) -> DecodedRequest:
    """Decodes a request's body, as JSON unless `content_type` is `text/csv`.

    Raises:
        UnreadableBody: the body is in none of the formats.
        InvalidRide: rides are invalid; each problem has a pointer.
    """
    if content_type.partition(";")[0].strip().lower() == "text/csv":
        return _decode_csv(body)
    document = decode_json(body)
    if isinstance(document, list):
        return _decode_list(document)
    if not isinstance(document, dict):
        raise UnreadableBody("must be a JSON object or array that holds rides")
    for name, decode in _FORMATS.items():
        if name in document:
            return decode(document[name], f"#/{name}")
    return _decode_item(document, "#")


def _decode_item(document: object, pointer: str) -> DecodedRequest:
    """A ride or a ride event, answered as in the course."""
    if isinstance(document, dict) and "ride" in document:
        event = parse_ride_event(document, pointer)
        return DecodedRequest([event.ride], lambda predictions: predictions[0].event(event.ride_id))

    def encode(predictions: list[Prediction]) -> dict[str, Any]:
        # The course's web service says "duration" where its events say "ride_duration".
        name = predictions[0].target.removeprefix("ride_")
        return {name: predictions[0].value, "model_version": predictions[0].version}

    return DecodedRequest([parse_ride(document, pointer)], encode)


def _decode_list(documents: list[object]) -> DecodedRequest:
    items = _decode_each(documents, "#", _decode_item)
    return DecodedRequest(
        [item.rides[0] for item in items],
        lambda predictions: [item.encode([one]) for item, one in zip(items, predictions, strict=True)],
    )


def _batch(rides: list[Ride]) -> DecodedRequest:
    return DecodedRequest(rides, lambda predictions: {"predictions": [each.value for each in predictions]})


def _decode_records(documents: object, pointer: str) -> DecodedRequest:
    """An array of rides as objects."""
    if not isinstance(documents, list):
        raise UnreadableBody("must be an array of rides", pointer)
    return _batch(_decode_each(documents, pointer, parse_ride))


def _decode_inputs(document: object, pointer: str) -> DecodedRequest:
    """MLflow's `inputs`: columns by name, records, or a single ride."""
    if not isinstance(document, dict):
        return _decode_records(document, pointer)
    lengths = {len(values) if isinstance(values, list) else -1 for values in document.values()}
    if lengths == {-1}:
        return _batch([parse_ride(document, pointer)])
    if len(lengths) > 1:
        raise UnreadableBody("must have columns of equal length", pointer)
    rows = list(zip(*document.values(), strict=True))
    # Pointers are #/inputs/COLUMN/ROW here, not #/inputs/ROW/COLUMN.
    return _batch(_rides_from_rows([*document], rows, pointer, lambda row, name: f"{pointer}/{name}/{row}"))


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
    indices = {name: index for index, name in enumerate(columns)}
    data, header = f"{pointer}/data", f"{pointer}/columns"
    return _batch(_rides_from_rows(columns, rows, header, lambda row, name: f"{data}/{row}/{indices[name]}"))


def _decode_csv(body: bytes | bytearray) -> DecodedRequest:
    """A header row with column names, then one ride per row; empty cells are unknown values."""
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableBody(f"is not valid CSV: {error}") from error
    if not any(lines):
        raise UnreadableBody("is empty; the first row must hold the column names")
    columns, *rows = (line for line in lines if line)
    for number, row in enumerate(rows):
        if len(row) != len(columns):
            raise UnreadableBody(f"must have {len(columns)} cells", f"#/{number}")
    values = [[_cell_value(cell) for cell in row] for row in rows]
    return _batch(_rides_from_rows(columns, values, "#", lambda row, name: f"#/{row}/{name}"))


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
    complete = [number for number, call in enumerate(calls) if None not in call[:3]]

    def locate(row: int, name: str) -> str:
        return f"{pointer}/{complete[row]}/{RIDE_FIELDS.index(name)}"

    try:
        rides = _rides_from_rows(RIDE_FIELDS, [calls[number] for number in complete], pointer, locate)
    except InvalidRide as error:
        raise InvalidBigQueryCall(*error.problems) from error

    def encode(predictions: list[Prediction]) -> dict[str, list[float | None]]:
        replies: list[float | None] = [None] * len(calls)
        for number, prediction in zip(complete, predictions, strict=True):
            replies[number] = prediction.value
        return {"replies": replies}

    return DecodedRequest(rides, encode)


def _rides_from_rows(
    columns: Sequence[str], rows: Sequence[Sequence[object]], header: str, locate: Callable[[int, str], str]
) -> list[Ride]:
    """Rides from rows; `header` points to the column names, `locate` to a value by row and column name."""
    missing = [name for name in RIDE_FIELDS[:3] if name not in columns]
    if rows and missing:
        raise InvalidRide(Problem(header, f"must include the columns {' and '.join(missing)}"))
    records = (dict(zip(columns, row, strict=False)) for row in rows)
    try:
        return _decode_each(records, "", parse_ride)
    except InvalidRide as error:
        located = [(*problem.pointer.split("/"), problem.detail) for problem in error.problems]
        problems = (Problem(locate(int(row), name), detail) for _, row, name, detail in located)
        raise InvalidRide(*problems) from None


def _decode_each(documents: Iterable[object], pointer: str, decode: Callable[[object, str], T]) -> list[T]:
    """Decodes each item of a batch; one error lists the problems of all items, up to a limit."""
    items: list[T] = []
    problems: list[Problem] = []
    for number, document in enumerate(documents):
        try:
            items.append(decode(document, f"{pointer}/{number}"))
        except InvalidRide as error:
            problems.extend(error.problems)
            if len(problems) >= MAX_PROBLEMS:
                break
    if problems:
        raise InvalidRide(*problems[:MAX_PROBLEMS])
    return items


_FORMATS: dict[str, Callable[[object, str], DecodedRequest]] = {
    "instances": _decode_records,
    "dataframe_records": _decode_records,
    "dataframe_split": _decode_split,
    "inputs": _decode_inputs,
    "calls": _decode_calls,
}
