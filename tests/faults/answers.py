"""What must come back, whatever is sent: checked with the standard library's own reading of what was sent."""

import asyncio
import base64
import contextlib
import csv
import gzip
import io
import json
import math
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from functions_framework.aio import create_asgi_app

from tests.faults.figures import Figures
from tests.faults.inputs import JSON_LINES, Delivery, Document, Sent

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
    assert answer.status in (400, 413, 415, 422)
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
    """What a body says, a table or lines as a list; the error where it says nothing."""
    try:
        body = decompress(sent)
        if media_type(sent) == "text/csv":
            text = io.StringIO(body.decode("utf-8-sig"), newline="")
            columns, *rows = (row for row in csv.reader(text) if row)
            return [dict(zip(columns, row, strict=False)) for row in rows]
        if media_type(sent) == JSON_LINES:
            return [_read_json(line) for line in body.splitlines() if line.strip()]
    except (ValueError, csv.Error, OSError, EOFError, zlib.error) as error:
        return error
    return _read_json(body)


def decompress(sent: Sent) -> bytes:
    """A request's body as its header says that it is compressed."""
    encoding = sent.headers.get("content-encoding", "identity")
    if encoding not in ("gzip", "identity"):
        raise ValueError(f"{encoding} is not supported")
    return gzip.decompress(sent.body) if encoding == "gzip" else sent.body


def _read_json(content: bytes) -> Document:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return error


def media_type(sent: Sent) -> str:
    """The type of a request's body, without parameters."""
    return sent.content_type.partition(";")[0].strip().lower()


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
    if media_type(sent) == "text/csv":
        _check_numbers(document, "predictions", len(asked))
    elif name == "calls":
        nulls = [any(map(is_null, call[:3])) for call in asked["calls"]]
        _check_numbers(document, "replies", len(asked["calls"]), nulls)
    elif name == "inputs" and any(isinstance(each, dict) and "datatype" in each for each in asked[name]):
        _check_tensors(document, asked)
    elif name:
        _check_numbers(document, "predictions", _rides(asked[name]))
    elif isinstance(asked, list):
        assert len(document) == len(asked)
        for answer, question in zip(document, asked, strict=True):
            _check_one(answer, question)
    else:
        _check_one(document, asked)


def is_null(value: Document) -> bool:
    """Whether a value stands for none."""
    if isinstance(value, str):
        return value.strip().lower() in ("", "nan", "nat")
    return value is None or (isinstance(value, float) and math.isnan(value))


def _check_tensors(document: Document, asked: Document) -> None:
    """The answer of the Open Inference Protocol."""
    assert {"model_name", "model_version", "outputs"} <= set(document)
    assert document.get("id") == (asked.get("id") if isinstance(asked.get("id"), str) else None)
    (output,) = document["outputs"]
    assert [output["name"], output["datatype"]] == ["ride_duration", "FP64"]
    assert output["shape"] == [len(output["data"])] == asked["inputs"][0]["shape"][:1]
    assert all(map(_is_number, output["data"]))


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
    if isinstance(question, dict) and "ride" in question:
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
    (line,) = predictions + letters
    message = strict(line)
    attributes = message["attributes"]
    assert all(isinstance(text, str) for text in attributes.values())
    outcome = strict(answer.body)
    contents = find_contents(delivered.sent) if delivered.data is None else [delivered.data]
    if predictions:
        assert outcome["outcome"] == "predicted"
        assert outcome["prediction"] == message["data"]
        assert outcome.get("repaired", []) == [name for name in [attributes.get("repaired")] if name]
        ids = [event["ride_id"] for content in contents for event in _find_events(content)]
        (ride_id,) = [each for each in ids if repr(each) == repr(message["data"]["prediction"]["ride_id"])][
            :1
        ]
        check_prediction(message["data"], ride_id)
        assert attributes["ride_id"] == str(ride_id)
        return
    assert [outcome["outcome"], outcome["reason"]] == ["dead_letter", attributes["dead_letter_reason"]]
    assert outcome["detail"] == attributes["dead_letter_detail"] != ""
    assert attributes["dead_letter_reason"] in ("invalid_ride", "unreadable_body", "unsupported_encoding")
    kept = [content for content in contents if _holds(message, content)]
    assert kept
    if attributes["dead_letter_reason"] == "invalid_ride":
        check_pointer(attributes["dead_letter_pointer"], _read_json(kept[0]))


def find_contents(sent: Sent) -> list[bytes]:
    """What may be the event in a delivery: its body, as it came or decompressed, or an envelope's data."""
    contents = [sent.body]
    with contextlib.suppress(ValueError, OSError, EOFError, zlib.error):
        contents.append(decompress(sent))
    for body in contents[:]:
        document = _read_loosely(body)
        if isinstance(document, dict):
            inner = document.get("data_base64")
            inside = _read_loosely(_from_base64(inner)) if isinstance(inner, str) else document.get("data")
            for envelope in (document, inside):
                message = envelope.get("message") if isinstance(envelope, dict) else None
                if isinstance(message, dict):
                    contents.append(_from_base64(message.get("data") or ""))
    return contents


def _find_events(content: bytes) -> list[Document]:
    """The ride event that JSON is, or that the CloudEvent holds which it is."""
    document = _read_json(content)
    if not isinstance(document, dict):
        return []
    inner = document.get("data")
    if isinstance(document.get("data_base64"), str):
        inner = _from_base64(document["data_base64"]).decode(errors="replace")
    documents = [document, _read_json(inner.encode(errors="replace")) if isinstance(inner, str) else inner]
    return [each for each in documents if isinstance(each, dict) and "ride_id" in each]


def _from_base64(text: Document) -> bytes:
    """In either alphabet, with or without padding and line breaks; empty where it is none."""
    try:
        digits = "".join(text.split()).translate(str.maketrans("-_", "+/")).rstrip("=")
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (ValueError, AttributeError):
        return b""


def _read_loosely(content: bytes) -> Document:
    """In a field that nobody reads, neither an int of 5,000 digits nor a wrong byte is a fault."""
    try:
        return json.loads(content.decode("utf-8-sig", errors="replace"), parse_int=float)
    except (ValueError, RecursionError):
        return None


def _holds(message: Document, data: bytes) -> bool:
    """Whether a line of a topic carries these bytes; JSON stands in it written anew."""
    if "data_base64" in message:
        return base64.b64decode(message["data_base64"]) == data
    document = _read_json(data)
    return not isinstance(document, Exception) and json.dumps(document) == json.dumps(message["data"])
