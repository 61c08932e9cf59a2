"""What must come back, whatever is sent: checked with the standard library's own reading of what was sent."""

import asyncio
import base64
import csv
import io
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from functions_framework.aio import create_asgi_app

from tests.faults.figures import Figures
from tests.faults.inputs import CLOUD_EVENT, Delivery, Document, Sent

SLOWEST_SECONDS = 2.0
BATCHES = ("instances", "dataframe_records", "dataframe_split", "inputs", "calls")
"""The forms that name themselves, in the order in which they are looked for."""


class Answer(NamedTuple):
    """An HTTP answer, and how long it took."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


class Function:
    """One function's ASGI app, asked again and again on one event loop.

    Without a client library between: it would refuse to send half of what is sent here.
    """

    def __init__(self, target: str, loop: asyncio.Runner) -> None:
        self.app = create_asgi_app(target, "main.py")
        self._loop = loop

    def ask(self, sent: Sent, method: str = "POST", chunks: int = 1) -> Answer:
        """The answer to a request whose body comes in so many chunks."""
        return self._loop.run(self._ask(sent, method, chunks))

    async def _ask(self, sent: Sent, method: str, chunks: int) -> Answer:
        size = -(-len(sent.body) // chunks)
        parts = [sent.body[i * size : (i + 1) * size] for i in range(chunks)]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": unquote(sent.path),
            "raw_path": sent.path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), text.encode("latin-1")) for name, text in sent.headers.items()],
            "server": ("function", 80),
            "client": ("127.0.0.1", 1),
        }
        out: list[Mapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            body = parts.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(parts)}

        async def send(message: Mapping[str, Any]) -> None:
            out.append(message)

        began = time.perf_counter()
        await self.app(scope, receive, send)
        seconds = time.perf_counter() - began
        start, *rest = out
        headers = {name.decode(): text.decode("latin-1") for name, text in start["headers"]}
        return Answer(start["status"], headers, b"".join(part.get("body", b"") for part in rest), seconds)


class Topic:
    """A topic that is a file, read on from where the last reading ended."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._file = path.open("rb")

    def new(self) -> list[bytes]:
        """The lines since the last call."""
        return self._file.readlines()

    def close(self) -> None:
        self._file.close()


class Tally:
    """Counts what was sent, and what came of it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.inputs = self.answered = 0
        self.slowest = 0.0

    def count(self, answer: Answer, *, answered: bool) -> None:
        """One input; `answered` with a prediction, or refused."""
        assert answer.seconds <= SLOWEST_SECONDS, f"it took {answer.seconds:.1f} s"
        self.inputs += 1
        self.answered += answered
        self.slowest = max(self.slowest, answer.seconds)

    def report(self, figures: Figures) -> None:
        """This row of the table."""
        figures.add(
            "inputs",
            dialect=self._name,
            inputs=f"{self.inputs:,}",
            answered=f"{self.answered:,}",
            refused=f"{self.inputs - self.answered:,}",
            slowest_ms=f"{self.slowest * 1000:.1f}",
        )


def strict(body: bytes) -> Document:
    """JSON as RFC 8259 has it: no NaN, no infinity, and no name twice."""

    def no(token: str) -> None:
        raise AssertionError(f"{token} is not valid JSON")

    def once(pairs: list[tuple[str, Document]]) -> Document:
        assert len({name for name, _ in pairs}) == len(pairs), "a name stands twice"
        return dict(pairs)

    return json.loads(body.decode(), parse_constant=no, object_pairs_hook=once)


def check_answer(sent: Sent, answer: Answer) -> None:
    """An answer in the form of the question, or an error that says where it is wrong."""
    document = strict(answer.body)
    if answer.status == 200:
        assert answer.headers["content-type"] == "application/json"
        check_form(document, sent)
    else:
        check_problem(document, answer)
        for each in document["errors"]:
            check_pointer(each["pointer"], read(sent))


def check_problem(document: Document, answer: Answer) -> None:
    """problem+json, with at least one pointer."""
    assert answer.status in (400, 413, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert list(document) == ["type", "title", "status", "detail", "errors", "error", "errorMessage"]
    assert document["status"] == answer.status
    assert document["errors"]
    for name in ("type", "title", "detail", "error", "errorMessage"):
        assert document[name]
        assert isinstance(document[name], str)
    assert document["error"] == document["errorMessage"]
    for each in document["errors"]:
        assert list(each) == ["pointer", "detail"]
        assert each["detail"]


def read(sent: Sent) -> Document:
    """What a body says, CSV as a list of objects; the error where it says nothing."""
    if not _is_csv(sent):
        return _read_json(sent.body)
    try:
        text = io.StringIO(sent.body.decode("utf-8-sig"), newline="")
        columns, *rows = (row for row in csv.reader(text) if row)
    except (ValueError, csv.Error) as error:
        return error
    return [dict(zip(columns, row, strict=False)) for row in rows]


def _read_json(content: bytes) -> Document:
    try:
        return json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        return error


def _is_csv(sent: Sent) -> bool:
    return sent.content_type.partition(";")[0].strip().lower() == "text/csv"


def check_pointer(pointer: str, document: Document) -> None:
    """A pointer (RFC 6901 §6) to a place in the document, or to a field that an object there lacks."""
    assert pointer == "#" or pointer.startswith("#/")
    if isinstance(document, Exception):
        assert pointer == "#"
        return
    for token in pointer.split("/")[1:]:
        assert "~" not in token.replace("~0", "").replace("~1", "")
        name = unquote(token, errors="strict").replace("~1", "/").replace("~0", "~")
        if isinstance(document, list):
            document = document[int(name)]
        else:
            assert isinstance(document, dict), f"{pointer} leads nowhere"
            document = document.get(name)


def check_form(document: Document, sent: Sent) -> None:
    """As many finite numbers as were asked for, in the form in which they were."""
    asked = read(sent)
    name = next((name for name in BATCHES if isinstance(asked, dict) and name in asked), "")
    if _is_csv(sent):
        _check_numbers(document, "predictions", len(asked))
    elif name == "calls":
        _check_numbers(
            document, "replies", len(asked["calls"]), [None in call[:3] for call in asked["calls"]]
        )
    elif name:
        _check_numbers(document, "predictions", _rides(asked[name]))
    elif isinstance(asked, list):
        assert len(document) == len(asked)
        for answer, question in zip(document, asked, strict=True):
            _check_one(answer, question)
    else:
        _check_one(document, asked)


def _rides(batch: Document) -> int:
    """How many rides a batch holds."""
    if isinstance(batch, list):
        return len(batch)
    if "data" in batch and "columns" in batch:
        return len(batch["data"])
    columns = list(batch.values())
    if all(isinstance(values, list) for values in columns):
        return len(columns[0]) if columns else 0
    return 1


def _check_numbers(document: Document, name: str, count: int, nulls: list[bool] | None = None) -> None:
    assert list(document) == [name]
    numbers = document[name]
    assert len(numbers) == count
    for number, null in zip(numbers, nulls or [False] * count, strict=True):
        assert (number is None) if null else _is_number(number)


def _check_one(answer: Document, question: Document) -> None:
    if "ride" in question:
        check_prediction(answer, question["ride_id"])
    else:
        assert list(answer) == ["duration", "model_version"]
        assert _is_number(answer["duration"])


def check_prediction(document: Document, ride_id: Document) -> None:
    """The course's prediction event, with the id as it came."""
    assert list(document) == ["model", "version", "prediction"]
    assert list(document["prediction"]) == ["ride_duration", "ride_id"]
    assert _is_number(document["prediction"]["ride_duration"])
    assert repr(document["prediction"]["ride_id"]) == repr(ride_id)


def _is_number(value: Document) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def check_delivery(
    delivered: Delivery, answer: Answer, predictions: list[bytes], letters: list[bytes]
) -> None:
    """Done, with exactly one line: a prediction, or the event as it came with the reason why not."""
    assert answer.status == 200, "it would be delivered again for ever"
    assert answer.body == b""
    (line,) = predictions + letters
    message = strict(line)
    attributes = message["attributes"]
    assert all(isinstance(text, str) for text in attributes.values())
    carried = find_data(delivered.sent) if delivered.data is None else delivered.data
    if predictions:
        assert carried is not None
        event = json.loads(carried)
        check_prediction(message["data"], event["ride_id"])
        assert attributes["ride_id"] == str(event["ride_id"])
        return
    assert attributes["dead_letter_detail"]
    kept = [carried]
    if attributes["dead_letter_reason"] != "invalid_ride":
        assert attributes["dead_letter_reason"] == "unreadable_body"
        # No delivery at all: then the whole body is kept.
        kept += [delivered.sent.body] if delivered.data is None else []
    elif carried is not None:
        check_pointer(attributes["dead_letter_pointer"], _read_json(carried))
    assert any(_holds(message, data) for data in kept if data is not None)


def find_data(sent: Sent) -> bytes | None:
    """The event that a delivery carries; None where it is no delivery."""
    try:
        # In a field that nobody reads, neither an int of 5,000 digits nor a wrong byte is a fault.
        document = _read_loosely(sent.body)
        if sent.content_type.lower().startswith(CLOUD_EVENT):
            inner = document.get("data_base64")
            document = document["data"] if inner is None else _read_loosely(base64.b64decode(inner))
        data = document["message"].get("data")
        return base64.b64decode("" if data is None else data, validate=True)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _read_loosely(content: bytes) -> Document:
    return json.loads(content.decode(errors="replace"), parse_int=float)


def _holds(message: Document, data: bytes) -> bool:
    """Whether a line of a topic carries these bytes; JSON stands in it written anew."""
    if "data_base64" in message:
        return base64.b64decode(message["data_base64"]) == data
    document = _read_json(data)
    return not isinstance(document, Exception) and json.dumps(document) == json.dumps(message["data"])
