"""HTTP bodies ⇄ rides: each client writes its own form and gets the answer it expects.

The form is told by its shape, so any of them may be sent to any of the paths that predict:

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
from functions.json_decoding import read_document
from functions.rides import Prediction, Ride, parse_ride, parse_ride_event

T = TypeVar("T")

MOST_PROBLEMS = 20
"""How many of a batch's problems one answer lists."""
RIDE_FIELDS = Ride.__struct_fields__
"""In the order in which BigQuery's arguments stand."""


class InvalidCall(InvalidRide):
    """A BigQuery call that cannot be answered: BigQuery shows the error of a 400, and stops."""

    status = 400


class Asked(msgspec.Struct, frozen=True):
    """The rides of a body, and how to write their answer."""

    rides: list[Ride]
    write: Callable[[list[Prediction]], Any]
    """Predictions → the object that is the answer's JSON."""


def read_rides(body: bytes | bytearray, content_type: str) -> Asked:
    """The rides that a body asks about.

    Args:
        body: as received.
        content_type: the header's value; `text/csv` is read as such, all else as JSON.

    Raises:
        UnreadableBody: it is in none of the forms.
        InvalidRide: its rides are not right; each problem has a pointer.
    """
    if content_type.partition(";")[0].strip().lower() == "text/csv":
        return _csv(body)
    document = read_document(body)
    if isinstance(document, list):
        return _plain_list(document)
    if not isinstance(document, dict):
        raise UnreadableBody("must be a JSON object or array that holds rides")
    for name, read in _FORMS.items():
        if name in document:
            return read(document[name], f"#/{name}")
    return _one(document, "#")


def _one(document: object, pointer: str) -> Asked:
    """A ride or a ride event, answered as the course answers it."""
    if isinstance(document, dict) and "ride" in document:
        event = parse_ride_event(document, pointer)
        return Asked([event.ride], lambda made: made[0].event(event.ride_id))
    # The course's field is "duration" where its events have "ride_duration".
    return Asked(
        [parse_ride(document, pointer)],
        lambda made: {made[0].target.removeprefix("ride_"): made[0].value, "model_version": made[0].version},
    )


def _plain_list(documents: list[object]) -> Asked:
    asked = _each(documents, "#", _one)
    return Asked(
        [item.rides[0] for item in asked],
        lambda made: [item.write([one]) for item, one in zip(asked, made, strict=True)],
    )


def _predictions(rides: list[Ride]) -> Asked:
    return Asked(rides, lambda made: {"predictions": [one.value for one in made]})


def _records(documents: object, pointer: str) -> Asked:
    """A list of rides as objects."""
    if not isinstance(documents, list):
        raise UnreadableBody("must be an array of rides", pointer)
    return _predictions(_each(documents, pointer, parse_ride))


def _inputs(document: object, pointer: str) -> Asked:
    """MLflow's `inputs`: columns by name, or records, or one ride."""
    if not isinstance(document, dict):
        return _records(document, pointer)
    lengths = {len(values) if isinstance(values, list) else -1 for values in document.values()}
    if lengths == {-1}:
        return _predictions([parse_ride(document, pointer)])
    if len(lengths) > 1:
        raise UnreadableBody("must have columns of one length", pointer)
    rows = zip(*document.values(), strict=True)
    # A value stands at #/inputs/COLUMN/ROW here, not at #/inputs/ROW/COLUMN.
    return _predictions(
        _table(list(document), list(rows), pointer, lambda row, name: f"{pointer}/{name}/{row}")
    )


def _split(document: object, pointer: str) -> Asked:
    """pandas' split form: `{"columns": […], "data": [[…], …]}`."""
    if not isinstance(document, dict):
        raise UnreadableBody('must be an object {"columns": […], "data": […]}', pointer)
    columns, rows = document.get("columns"), document.get("data")
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise UnreadableBody("must be an array of names", f"{pointer}/columns")
    if not isinstance(rows, list):
        raise UnreadableBody("must be an array of rows", f"{pointer}/data")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            raise UnreadableBody(f"must be an array of {len(columns)} values", f"{pointer}/data/{number}")
    places = {name: position for position, name in enumerate(columns)}
    return _predictions(
        _table(columns, rows, f"{pointer}/columns", lambda row, name: f"{pointer}/data/{row}/{places[name]}")
    )


def _csv(body: bytes | bytearray) -> Asked:
    """A header of names, then a ride a line; an empty cell is an unknown value."""
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableBody(f"is no CSV: {error}") from error
    if not any(lines):
        raise UnreadableBody("is empty; the first line must name the columns")
    columns, *rows = (line for line in lines if line)
    for number, row in enumerate(rows):
        if len(row) != len(columns):
            raise UnreadableBody(f"must have {len(columns)} cells", f"#/{number}")
    cells = [[_cell(text) for text in row] for row in rows]
    return _predictions(_table(columns, cells, "#", lambda row, name: f"#/{row}/{name}"))


def _cell(text: str) -> object:
    """A CSV cell as the JSON value it would be."""
    try:
        # To Python, though not to JSON, 1_30 is a number and so are the digits of every script.
        return float(text) if text.isascii() and "_" not in text else text
    except ValueError:
        return text or None


def _calls(calls: object, pointer: str) -> Asked:
    """BigQuery's calls: a list of arguments each; a call with a NULL among a ride's own replies NULL."""
    if not isinstance(calls, list):
        raise UnreadableBody("must be an array of calls", pointer)
    wanted = f"must be an array of 3 or 4 arguments: {', '.join(RIDE_FIELDS)}"
    for number, call in enumerate(calls):
        if not isinstance(call, list) or len(call) not in (3, 4):
            raise UnreadableBody(wanted, f"{pointer}/{number}")
    known = [number for number, call in enumerate(calls) if None not in call[:3]]

    def at(row: int, name: str) -> str:
        return f"{pointer}/{known[row]}/{RIDE_FIELDS.index(name)}"

    try:
        rides = _table(RIDE_FIELDS, [calls[number] for number in known], pointer, at)
    except InvalidRide as error:
        raise InvalidCall(*error.problems) from error

    def write(made: list[Prediction]) -> dict[str, list[float | None]]:
        replies: list[float | None] = [None] * len(calls)
        for number, one in zip(known, made, strict=True):
            replies[number] = one.value
        return {"replies": replies}

    return Asked(rides, write)


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], header: str, at: Callable[[int, str], str]
) -> list[Ride]:
    """Rides from rows of values.

    Args:
        header: pointer to what names the columns.
        at: a value's pointer from its row and column, which is there.
    """
    missing = [name for name in RIDE_FIELDS[:3] if name not in columns]
    if rows and missing:
        raise InvalidRide(Problem(header, f"must have {' and '.join(missing)} among its columns"))
    records = (dict(zip(columns, row, strict=False)) for row in rows)
    try:
        return _each(records, "", parse_ride)
    except InvalidRide as error:
        raise InvalidRide(
            *(
                Problem(at(int(row), name), problem.detail)
                for problem in error.problems
                for _, row, name in [problem.pointer.split("/")]
            )
        ) from None


def _each(documents: Iterable[object], pointer: str, read: Callable[[object, str], T]) -> list[T]:
    """Reads each item of a batch; one error tells of all that are wrong, up to a limit."""
    items: list[T] = []
    problems: list[Problem] = []
    for number, document in enumerate(documents):
        try:
            items.append(read(document, f"{pointer}/{number}"))
        except InvalidRide as error:
            problems.extend(error.problems)
            if len(problems) >= MOST_PROBLEMS:
                break
    if problems:
        raise InvalidRide(*problems[:MOST_PROBLEMS])
    return items


_FORMS: dict[str, Callable[[object, str], Asked]] = {
    "instances": _records,
    "dataframe_records": _records,
    "dataframe_split": _split,
    "inputs": _inputs,
    "calls": _calls,
}
