"""The streaming form on the Pub/Sub emulator: no event is lost whoever is killed; releases move."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from jobs.events.pubsub_clients import publisher_client, subscriber_client
from jobs.events.subscribers import Arrival, open_outlet
from jobs.local.emulators import PubSub
from jobs.local.topics import Topics
from tests.faults.models import Pointer
from tests.faults.oracle import Event, Verdict, judge
from tests.faults.stage import bad_event, good_events
from tests.integration.test_beam_processes import processes_of

ACK_SECONDS = 10
"""The least that Pub/Sub waits until it delivers again."""
SECONDS = 60.0
ON_DATAFLOW = """
import os, sys, time
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from functions.settings import Settings
from jobs.beam import streaming
from jobs.beam.handler import Route

seconds, *names = sys.argv[1:]
answer = streaming.answer
streaming.answer = lambda *arguments: (time.sleep(float(seconds)), answer(*arguments))[1]
options = PipelineOptions(["--runner=BundleBasedDirectRunner", "--streaming"])
with beam.Pipeline(options=options) as pipeline:
    streaming.answer_on_dataflow(pipeline, Route(*names), Settings.read(os.environ))
"""
"""The form for Dataflow, on this machine: with Beam's own read; answers take some seconds."""


class Books:
    """What goes in and comes out, and the command between."""

    def __init__(self, topics: Topics, environment: dict[str, str]) -> None:
        self.topics = topics
        self.subscription = f"projects/{topics.project}/subscriptions/beam"
        with subscriber_client(topics.emulator) as subscriber:
            subscriber.create_subscription(
                name=self.subscription, topic=topics.ride_events, ack_deadline_seconds=ACK_SECONDS
            )
        self.events: list[Event] = []
        self.predictions: list[Arrival] = []
        self.letters: list[Arrival] = []
        self._environment = environment | {"PUBSUB_EMULATOR_HOST": topics.emulator}
        self._runs: list[subprocess.Popen[bytes]] = []
        self._outlets = [
            open_outlet(topics.predictions_pull, self.predictions.append, topics.emulator),
            open_outlet(topics.dead_letters_pull, self.letters.append, topics.emulator),
        ]

    def start(self, model: Path | str, *more: str, **told: str) -> "subprocess.Popen[bytes]":
        words = ["-m", "jobs", "beam", "--streaming", f"--events={self.subscription}"]
        words += [f"--predictions={self.topics.predictions}", f"--dead-letters={self.topics.dead_letters}"]
        return self.begin([*words, f"--model={model}", *more], **told)

    def start_as_on_dataflow(self, model: Path, seconds: float) -> "subprocess.Popen[bytes]":
        names = self.subscription, self.topics.predictions, self.topics.dead_letters
        return self.begin(["-c", ON_DATAFLOW, str(seconds), *names], MODEL_URI=str(model))

    def begin(self, words: Sequence[str], **told: str) -> "subprocess.Popen[bytes]":
        run = subprocess.Popen(
            [sys.executable, *words],
            env=self._environment | told,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._runs.append(run)
        return run

    def publish(self, events: Sequence[Event], pause: float = 0.0) -> None:
        self.events += events
        client = publisher_client(self.topics.emulator)
        sent = []
        for event in events:
            sent.append(client.publish(self.topics.ride_events, event.data))
            time.sleep(pause)
        for future in sent:
            future.result(30)
        client.stop()

    @contextlib.contextmanager
    def stream(self, events: Sequence[Event], pause: float) -> Iterator[None]:
        """Publishes beside the body."""
        sending = threading.Thread(target=self.publish, args=[events, pause])
        sending.start()
        yield
        sending.join()

    @property
    def came(self) -> int:
        return len(self.predictions) + len(self.letters)

    def verdict(self) -> Verdict:
        return judge(self.events, list(self.predictions), list(self.letters))

    def settle(self) -> Verdict:
        wait_for(lambda: not self.verdict().lost)
        time.sleep(0.5)  # for what comes twice
        return self.verdict()

    def close(self) -> None:
        for run in self._runs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
        for outlet in self._outlets:
            outlet.close()


@pytest.fixture
def books(topics: Topics, pubsub: PubSub, plain_environment: dict[str, str]) -> Iterator[Books]:
    books = Books(topics, plain_environment)
    yield books
    books.close()


def wait_for(what: Callable[[], bool], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def poisoned(count: int) -> list[Event]:
    """Good events with a bad one behind each twenty."""
    events = good_events(count)
    for number in range(20, count, 20):
        events.insert(number, bad_event(b'{"ride_id": %d}' % number if number % 40 else b"\xff%d" % number))
    return events


def test_whoever_is_killed_no_event_is_lost(books: Books, onnx_folder: Path) -> None:
    two = ("--direct_num_workers=2",)
    run = books.start(onnx_folder, *two)
    with books.stream(poisoned(1200), 0.008):
        wait_for(lambda: books.came > 100)
        workers = processes_of(run)[1:]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)  # a worker
        _, trouble = run.communicate(timeout=SECONDS)
        assert run.returncode == 1
        assert b"a worker was lost" in trouble
        wait_for(lambda: not processes_of(run))

        before = books.came
        run = books.start(onnx_folder, *two)
        wait_for(lambda: books.came > before + 100)
        os.killpg(run.pid, signal.SIGKILL)  # all at once
        run = books.start(onnx_folder, *two)
    verdict = books.settle()
    assert verdict.kept, verdict
    assert (verdict.predicted, verdict.dead_letters) == (1200, 59)

    # By the last of them, which is now at work whatever those before had done.
    books.publish(good_events(20, first=1200))
    assert books.settle().kept
    os.killpg(run.pid, signal.SIGINT)
    began = time.monotonic()
    said, trouble = run.communicate(timeout=SECONDS)
    assert (run.returncode, trouble) == (0, b"")
    assert time.monotonic() - began < 5
    assert said.count(b"model in service") == 2, "both workers had a model"
    wait_for(lambda: not processes_of(run))


def test_the_form_for_dataflow_answers_alike(books: Books, onnx_folder: Path) -> None:
    books.publish(poisoned(100))
    books.start_as_on_dataflow(onnx_folder, 0.0)
    verdict = books.settle()
    assert verdict.kept, verdict
    assert (verdict.predicted, verdict.dead_letters) == (100, 4)
    letters = {arrival.attributes["dead_letter_subscription"] for arrival in books.letters}
    assert letters == {books.subscription}


@pytest.mark.long
def test_the_oracle_sees_that_beams_own_read_loses_events(books: Books, onnx_folder: Path) -> None:
    run = books.start_as_on_dataflow(onnx_folder, 0.3)
    books.publish(good_events(200))
    wait_for(lambda: books.came > 0)
    os.killpg(run.pid, signal.SIGKILL)
    books.start(onnx_folder, "--direct_num_workers=1")
    last = books.came
    quiet = time.monotonic() + ACK_SECONDS + 3
    while time.monotonic() < quiet:
        if books.came > last:
            last, quiet = books.came, time.monotonic() + ACK_SECONDS + 3
        time.sleep(0.05)
    verdict = books.verdict()
    assert verdict.lost
    assert verdict.predicted > 100


def test_a_release_moves_meanwhile_and_a_bad_one_is_refused(
    books: Books, onnx_folder: Path, other_onnx_folder: Path, tmp_path: Path
) -> None:
    pointer = Pointer(str(tmp_path / "champion.json"))
    pointer.move("1", onnx_folder)
    run = books.start(pointer.place, "--direct_num_workers=1", MODEL_REFRESH_SECONDS="0.3")
    with books.stream(good_events(1200), 0.004):
        wait_for(lambda: books.came > 100)
        pointer.write(b'{"name": "ride-duration", "version": "9", "location": "/nowhere"}')
        bad = books.came
        wait_for(lambda: books.came > bad + 200)
        pointer.move("2", other_onnx_folder)
    verdict = books.settle()
    assert verdict.kept, verdict
    in_order = sorted(books.predictions, key=lambda arrival: arrival.published)
    versions = [arrival.attributes["version"] for arrival in in_order]
    assert [version for version, _ in itertools.groupby(versions)] == ["1", "2"]
    for arrival in in_order:
        assert json.loads(arrival.data)["version"] == arrival.attributes["version"]
    run.send_signal(signal.SIGTERM)
    said, _ = run.communicate(timeout=SECONDS)
    assert run.returncode == 0
    assert b"release refused" in said
