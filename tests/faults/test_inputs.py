"""Whatever is sent, by the hundred thousand: a prediction, or an error that helps, or a dead letter."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import SearchStrategy

from tests.faults.answers import Answer, Function, Tally, Topic, check_answer, check_delivery, strict
from tests.faults.figures import Figures
from tests.faults.inputs import (
    ANY_BYTES,
    ANY_JSON,
    DIALECTS,
    ENVELOPES,
    JSON,
    SEEDS,
    SOME_RIDES,
    Delivery,
    Sent,
    deliveries,
    delivery,
    event,
    examples,
    questions,
    spoil_headers,
    to_bytes,
)
from tests.serving import environment

RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
EVENT = {"ride": RIDE, "ride_id": 256}


class Functions:
    """Both functions with a model and with topics that are files."""

    def __init__(self, folder: Path, loop: asyncio.Runner) -> None:
        self.predict = Function("predict", loop)
        self.predict_event = Function("predict_event", loop)
        self.predictions, self.letters = Topic(folder / "predictions"), Topic(folder / "letters")

    def answer(self, sent: Sent, chunks: int = 1) -> Answer:
        """The answer to a question, checked."""
        answer = self.predict.ask(sent, chunks=chunks)
        note = f"{answer.status} {answer.body!r} to {sent}"
        assert answer.status < 500, note
        try:
            check_answer(sent, answer)
        except Exception as error:
            error.add_note(note)
            raise
        return answer

    def deliver(self, delivered: Delivery, chunks: int = 1) -> tuple[Answer, list[bytes], list[bytes]]:
        """The outcome of a delivery, checked: its answer, its prediction or its dead letter."""
        answer = self.predict_event.ask(delivered.sent, chunks=chunks)
        predictions, letters = self.predictions.new(), self.letters.new()
        try:
            check_delivery(delivered, answer, predictions, letters)
        except Exception as error:
            error.add_note(f"{answer.status} {predictions or letters} to {delivered}")
            raise
        return answer, predictions, letters


@pytest.fixture(scope="module")
def functions(onnx_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Functions]:
    folder = tmp_path_factory.mktemp("topics")
    variables = {
        "MODEL_URI": str(onnx_folder),
        "MODEL_REFRESH_SECONDS": "0",
        "PREDICTIONS_TOPIC": str(folder / "predictions"),
        "DEAD_LETTER_TOPIC": str(folder / "letters"),
        "LOG_LEVEL": "CRITICAL",
    }
    with environment(variables), asyncio.Runner() as loop:
        made = Functions(folder, loop)
        made.answer(Sent(to_bytes(RIDE), {}))
        made.deliver(delivery(ENVELOPES["Pub/Sub push"], to_bytes(EVENT), Random(0)))
        yield made
        made.predictions.close()
        made.letters.close()


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_however_spoilt_is_answered_or_refused_with_a_pointer(
    functions: Functions, full: bool, figures: Figures, name: str
) -> None:
    tally = Tally(name)

    @examples(full, short=35, long=600)
    @given(SOME_RIDES, SEEDS)
    def spoil(rides: list[Any], seed: int) -> None:
        right, *spoilt = questions(DIALECTS[name], rides, seed)
        assert functions.answer(right).status == 200
        for number, sent in enumerate(spoilt):
            answer = functions.answer(sent, chunks=1 + number % 3)
            tally.count(answer, answered=answer.status == 200)

    spoil()
    tally.report(figures)


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_event_however_spoilt_is_one_prediction_or_one_dead_letter(
    functions: Functions, full: bool, figures: Figures, name: str
) -> None:
    tally = Tally(name)

    @examples(full, short=35, long=600)
    @given(SOME_RIDES, SEEDS)
    def spoil(rides: list[Any], seed: int) -> None:
        right, *spoilt = deliveries(ENVELOPES[name], rides, seed)
        _, predictions, _ = functions.deliver(right)
        assert predictions
        for number, delivered in enumerate(spoilt):
            answer, *lines = functions.deliver(delivered, chunks=1 + number % 3)
            tally.count(answer, answered=bool(lines[0]))
        answer, *again = functions.deliver(delivered)
        assert again == lines, "delivered again, it must come out as the same bytes"
        tally.count(answer, answered=bool(lines[0]))

    spoil()
    tally.report(figures)


@pytest.mark.parametrize(("name", "anything"), [("any JSON", ANY_JSON), ("any bytes", ANY_BYTES)])
def test_anything_at_all_is_answered_and_delivered(
    functions: Functions, full: bool, figures: Figures, name: str, anything: SearchStrategy[Any]
) -> None:
    asked, delivered = Tally(name), Tally(f"{name}, delivered")

    @examples(full, short=150, long=3000)
    @given(anything, SEEDS)
    def send(document: Any, seed: int) -> None:
        body, random = to_bytes(document), Random(seed)
        for sent in (Sent(body, {"content-type": JSON}), spoil_headers(Sent(body, {}), random)):
            answer = functions.answer(sent)
            asked.count(answer, answered=answer.status == 200)
        inside = delivery(random.choice(list(ENVELOPES.values())), body, random)
        for one in (inside, Delivery(Sent(body, {"content-type": JSON}, "/"), None)):
            answer, predictions, _ = functions.deliver(one)
            delivered.count(answer, answered=bool(predictions))

    send()
    asked.report(figures)
    delivered.report(figures)


def test_a_ride_has_the_same_number_to_the_last_bit_however_it_is_asked_for(
    functions: Functions, full: bool
) -> None:
    @examples(full, short=20, long=300)
    @given(SOME_RIDES, SEEDS)
    def ask(rides: list[Any], seed: int) -> None:
        random = Random(seed)
        found: list[set[str]] = [set() for _ in rides]
        for number, ride in enumerate(rides):
            found[number].add(repr(strict(functions.answer(Sent(to_bytes(ride), {})).body)["duration"]))
            for wrap in ENVELOPES.values():
                _, (line,), _ = functions.deliver(delivery(wrap, to_bytes(event(ride, random)), random))
                found[number].add(repr(strict(line)["data"]["prediction"]["ride_duration"]))
        for dialect in DIALECTS.values():
            right, *_ = questions(dialect, rides, seed)
            numbers = find_numbers(strict(functions.answer(right).body))
            for number, text in enumerate(numbers):
                found[number].add(text)
        assert all(len(one) == 1 for one in found), found

    ask()


def find_numbers(answer: Any) -> list[str]:
    """All floats in an answer, each as the text that tells its bits."""
    if isinstance(answer, float):
        return [repr(answer)]
    values = answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list) else []
    return [number for value in values for number in find_numbers(value)]


DEEP = 100_000


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (b"[" * DEEP, 400, "#"),
        (b"[" * DEEP + b"]" * DEEP, 400, "#"),
        (b'{"a":' * DEEP, 400, "#"),
        (b'{"ride":[' * DEEP, 400, "#"),
        (b"", 400, "#"),
        (b" \n\t", 400, "#"),
        (b"null", 400, "#"),
        (b'""', 400, "#"),
        (b"{}", 422, "#/PULocationID"),
        (b'{"PULocationID": 130, "DOLoc', 400, "#"),
        (to_bytes(RIDE) * 2, 400, "#"),
        (json.dumps(RIDE).encode("utf-16"), 400, "#"),
        (json.dumps(RIDE).encode("utf-16-le"), 400, "#"),
        (gzip.compress(to_bytes(RIDE), mtime=0), 400, "#"),
        (b'{"PULocationID": "\xff"}', 400, "#"),
        (b'{"PULocationID": "\\ud800"}', 422, "#/PULocationID"),
        (to_bytes(RIDE).replace(b"3.66", b"NaN"), 422, "#/trip_distance"),
        (to_bytes(RIDE).replace(b"3.66", b"9" * 5000), 400, "#"),
        (to_bytes(EVENT).replace(b"256", b'"\\ud800"'), 422, "#/ride_id"),
        (to_bytes(EVENT).replace(b"256", b"1e400"), 422, "#/ride_id"),
        (to_bytes(EVENT).replace(b"256", str(2**63).encode()), 422, "#/ride_id"),
        (to_bytes(EVENT).replace(b"256", str(10**400).encode()), 422, "#/ride_id"),
        (to_bytes(EVENT | {"ride_id": "x" * 1025}), 422, "#/ride_id"),
        (
            to_bytes({"dataframe_split": {"columns": [*RIDE], "data": [[1, 2, 3], [1]]}}),
            400,
            "#/dataframe_split/data/1",
        ),
        (
            to_bytes({"dataframe_split": {"columns": ["PULocationID"], "data": [[1]]}}),
            422,
            "#/dataframe_split/columns",
        ),
        (to_bytes({"inputs": {"PULocationID": [1]}}), 422, "#/inputs"),
        (to_bytes({"inputs": [{"datatype": "FP64"}]}), 400, "#/inputs/0"),
        (to_bytes(RIDE | {"trip_miles": 3.67}), 422, "#/trip_miles"),
        (to_bytes(RIDE | {"lpep_pickup_datetime": "soon"}), 422, "#/lpep_pickup_datetime"),
        (to_bytes({"instances": [[130, 205, 3.66], [130, 205, "far"]]}), 422, "#/instances/1/2"),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, bytes) else None,
)
def test_a_body_that_is_known_to_be_wrong_is_told_where(
    functions: Functions, body: bytes, status: int, pointer: str
) -> None:
    answer = functions.answer(Sent(body, {"content-type": JSON}))
    assert (answer.status, strict(answer.body)["errors"][0]["pointer"]) == (status, pointer)
    # The same as an event and as a whole delivery: done, and kept.
    for delivered in (delivery(wrap, body, Random(0)) for wrap in ENVELOPES.values()):
        assert functions.deliver(delivered)[2]
    assert functions.deliver(Delivery(Sent(body, {}, "/"), None))[2]


@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"a":', b"}"), (b'{"ride":', b"}")])
def test_the_depth_at_which_a_reader_gives_up_is_no_edge_to_fall_from(
    functions: Functions, begin: bytes, end: bytes
) -> None:
    for depth in range(900, 1010):
        body = begin * depth + b"1" + end * depth
        functions.answer(Sent(body, {}))
        functions.deliver(delivery(ENVELOPES["Pub/Sub push"], body, Random(0)))
        functions.deliver(Delivery(Sent(body, {}, "/"), None))


@pytest.mark.parametrize(
    ("table", "status"),
    [
        (b"PULocationID,DOLocationID,trip_distance" + b",x" * DEEP + b"\n130,205,3.66" + b",1" * DEEP, 200),
        (b"PULocationID" + b",x" * DEEP + b"\n1" + b",1" * DEEP, 422),
        (b"PULocationID,DOLocationID,trip_distance\n130,205,3.66\n130", 400),
        (b"PULocationID,DOLocationID,trip_distance\n1_30,205,3.66\n", 422),
        ("PULocationID,DOLocationID,trip_distance\n\uff11\uff13\uff10,205,3.66\n".encode(), 422),
        (b"PULocationID,DOLocationID,trip_distance\n130,205,nan\n", 422),
        (b"PULocationID,DOLocationID\n130,205\n", 422),
        (b"\xef\xbb\xbfPULocationID,DOLocationID,trip_distance\r\n130,205,3.66\r\n", 200),
        (b"PULocationID,DOLocationID,trip_distance\n" + b'"' + b"1" * 200_000 + b'",205,3.66\n', 400),
    ],
    ids=lambda value: repr(value[-30:]) if isinstance(value, bytes) else None,
)
def test_a_table_is_read_as_it_stands(functions: Functions, table: bytes, status: int) -> None:
    assert functions.answer(Sent(table, {"content-type": "text/csv"})).status == status


def test_of_a_field_said_twice_the_last_counts_as_in_every_common_reader(functions: Functions) -> None:
    twice = b'{"PULocationID": 999, "PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}'
    assert functions.answer(Sent(twice, {})).body == functions.answer(Sent(to_bytes(RIDE), {})).body


def test_a_media_type_is_the_same_in_capitals(functions: Functions) -> None:
    right = delivery(ENVELOPES["CloudEvent, structured"], to_bytes(EVENT), Random(0))
    sent = right.sent._replace(headers={"content-type": "Application/CloudEvents+JSON"})
    assert functions.deliver(right._replace(sent=sent))[1]


@pytest.mark.parametrize(
    ("distance", "repaired"),
    [
        (-0.0, False),
        (5e-324, False),
        (100.0, False),
        (100.00000000000001, True),
        (-5e-324, True),
        (1e308, True),
    ],
)
def test_a_distance_at_the_edge_is_answered(functions: Functions, distance: float, repaired: bool) -> None:
    answer = functions.answer(Sent(to_bytes(RIDE | {"trip_distance": distance}), {}))
    assert ("ridecast-repaired" in answer.headers) == repaired


@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_makes_no_difference(functions: Functions, begin: bytes) -> None:
    expected = functions.answer(Sent(to_bytes(RIDE), {}))
    assert functions.answer(Sent(begin + to_bytes(RIDE), {})).body == expected.body
    for wrap in ENVELOPES.values():
        assert functions.deliver(delivery(wrap, begin + to_bytes(EVENT), Random(0)))[1]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/predict/", 200),
        ("POST", "/predict//", 404),
        ("POST", "//predict", 404),
        ("POST", "/predict%00", 404),
        ("POST", "/predict%3Fa", 404),
        ("POST", "/predict%0A", 404),
        ("POST", "/PREDICT", 404),
        ("POST", "/health/../predict", 404),
        ("POST", "/v1/models/../x:predict", 200),
        ("POST", "/v1/models/%00:predict", 200),
        ("POST", "/robots.txt", 404),
        ("GET", "/favicon.ico", 404),
        ("PUT", "/predict", 405),
        ("OPTIONS", "/predict", 405),
        ("HEAD", "/predict", 405),
        ("TRACE", "/predict", 405),
        ("BREW", "/predict", 405),
    ],
)
def test_odd_paths_and_methods_are_told_so(functions: Functions, method: str, path: str, status: int) -> None:
    for host in ("function", "[", "x/predict?"):
        assert functions.predict.ask(Sent(to_bytes(RIDE), {"host": host}, path), method).status == status


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/nothing"), ("PUT", "/predict"), ("DELETE", "/health")]
)
def test_what_is_wrong_with_a_path_or_method_has_no_pointer_for_it_is_not_in_the_body(
    functions: Functions, method: str, path: str
) -> None:
    answer = functions.predict.ask(Sent(to_bytes(RIDE), {}, path), method)
    assert answer.headers["content-type"] == "application/problem+json"
    assert strict(answer.body)["errors"] == []
