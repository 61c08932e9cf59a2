"""Streaming on the Pub/Sub emulator: no event is lost if a process is killed; new releases are picked up."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import pytest

from jobs.events.pubsub_clients import publisher_client, subscriber_client
from jobs.events.subscribers import ReceivedMessage, open_subscriber
from jobs.local.emulators import PubSubEmulator
from jobs.local.topics import Topics
from tests.faults.models import Pointer
from tests.faults.oracle import Event, Verdict, judge
from tests.faults.stage import bad_event, good_events
from tests.integration.test_beam_processes import processes_of, wait_for

ACK_SECONDS = 10
"""The shortest acknowledgement deadline of Pub/Sub."""
SECONDS = 240.0
ON_DATAFLOW = """
import os, sys, time
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from functions.settings import FunctionSettings
from jobs.beam import streaming
from jobs.beam.handler import StreamTopics

seconds, *names = sys.argv[1:]
handle = streaming.handle_events
streaming.handle_events = lambda *arguments: (time.sleep(float(seconds)), handle(*arguments))[1]
options = PipelineOptions(["--runner=BundleBasedDirectRunner", "--streaming"])
with beam.Pipeline(options=options) as pipeline:
    streaming.build_dataflow_pipeline(pipeline, StreamTopics(*names), FunctionSettings.read(os.environ))
"""
"""Runs the Dataflow pipeline on this machine, with Beam's own read and delayed predictions."""


class Stream:
    """Runs the command on topics, and records what is published and received."""

    def __init__(self, topics: Topics, environment: dict[str, str]) -> None:
        self.topics = topics
        self.subscription = f"projects/{topics.project}/subscriptions/beam"
        with subscriber_client(topics.emulator) as subscriber:
            subscriber.create_subscription(
                name=self.subscription, topic=topics.ride_events, ack_deadline_seconds=ACK_SECONDS
            )
        self.events: list[Event] = []
        self.predictions: list[ReceivedMessage] = []
        self.letters: list[ReceivedMessage] = []
        self._environment = environment | {"PUBSUB_EMULATOR_HOST": topics.emulator}
        self._runs: list[subprocess.Popen[bytes]] = []
        self._subscribers = [
            open_subscriber(topics.predictions_pull, self.predictions.append, topics.emulator),
            open_subscriber(topics.dead_letters_pull, self.letters.append, topics.emulator),
        ]

    def start(
        self, model: Path | str, *options: str, log: IO[bytes] | int = subprocess.PIPE, **environment: str
    ) -> "subprocess.Popen[bytes]":
        """Starts the command; `log` receives its stdout."""
        arguments = ["-m", "jobs", "beam", "--streaming", f"--events={self.subscription}"]
        arguments += [
            f"--predictions={self.topics.predictions}",
            f"--dead-letters={self.topics.dead_letters}",
        ]
        return self.popen([*arguments, f"--model={model}", *options], log, **environment)

    def start_as_on_dataflow(self, model: Path, seconds: float) -> "subprocess.Popen[bytes]":
        names = self.subscription, self.topics.predictions, self.topics.dead_letters
        return self.popen(["-c", ON_DATAFLOW, str(seconds), *names], MODEL_URI=str(model))

    def popen(
        self, arguments: Sequence[str], stdout: IO[bytes] | int = subprocess.PIPE, **environment: str
    ) -> "subprocess.Popen[bytes]":
        run = subprocess.Popen(
            [sys.executable, *arguments],
            env=self._environment | environment,
            stdout=stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._runs.append(run)
        return run

    def publish(self, events: Iterable[Event], pause: float = 0.0) -> None:
        client = publisher_client(self.topics.emulator)
        futures = []
        for event in events:
            self.events.append(event)
            futures.append(client.publish(self.topics.ride_events, event.data))
            time.sleep(pause)
        for future in futures:
            future.result(30)
        client.stop()

    @contextlib.contextmanager
    def publishing(self, events: Iterable[Event], pause: float) -> Iterator[None]:
        """Publishes events while the body runs."""
        sending = threading.Thread(target=self.publish, args=[events, pause])
        sending.start()
        yield
        sending.join()

    @contextlib.contextmanager
    def publishing_on(self, first: int, pause: float) -> Iterator[None]:
        """Publishes good events, numbered from `first`, until the body ends."""
        ended = threading.Event()
        events = (event for number in itertools.count(first, 50) for event in good_events(50, number))
        with self.publishing(itertools.takewhile(lambda _: not ended.is_set(), events), pause):
            try:
                yield
            finally:
                ended.set()

    @property
    def received(self) -> int:
        return len(self.predictions) + len(self.letters)

    def verdict(self) -> Verdict:
        return judge(list(self.events), list(self.predictions), list(self.letters))

    def wait_for_all(self) -> Verdict:
        wait_for(lambda: not self.verdict().lost)
        time.sleep(0.5)  # for duplicates
        return self.verdict()

    def close(self) -> None:
        for run in self._runs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
        for subscriber in self._subscribers:
            subscriber.close()


@pytest.fixture
def stream(topics: Topics, pubsub: PubSubEmulator, plain_environment: dict[str, str]) -> Iterator[Stream]:
    stream = Stream(topics, plain_environment)
    yield stream
    stream.close()


def with_bad_events(count: int) -> list[Event]:
    """Good events with a bad one after every twenty."""
    events = good_events(count)
    for number in range(20, count, 20):
        events.insert(number, bad_event(b'{"ride_id": %d}' % number if number % 40 else b"\xff%d" % number))
    return events


def test_if_a_process_is_killed_no_event_is_lost(stream: Stream, onnx_folder: Path) -> None:
    two = ("--direct_num_workers=2",)
    events = with_bad_events(1200)
    run = stream.start(onnx_folder, *two)
    with stream.publishing(events[:600], 0.008):
        wait_for(lambda: stream.received > 100)
        workers = processes_of(run)[1:]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)  # a worker
        _, stderr = run.communicate(timeout=SECONDS)
    assert run.returncode == 1
    assert b"a worker was lost" in stderr
    wait_for(lambda: not processes_of(run))

    # The other worker may have answered the first events to the last; these are for the next run.
    before = stream.received
    run = stream.start(onnx_folder, *two)
    with stream.publishing(events[600:], 0.008):
        wait_for(lambda: stream.received > before + 100)
        os.killpg(run.pid, signal.SIGKILL)  # all at once
    run = stream.start(onnx_folder, *two)
    verdict = stream.wait_for_all()
    assert verdict.kept, verdict
    assert (verdict.predicted, verdict.dead_letters) == (1200, 59)

    # These are predicted by the last run, whatever the earlier ones did.
    stream.publish(good_events(20, first=1200))
    assert stream.wait_for_all().kept
    os.killpg(run.pid, signal.SIGINT)
    began = time.monotonic()
    stdout, stderr = run.communicate(timeout=SECONDS)
    assert (run.returncode, stderr) == (0, b"")
    assert time.monotonic() - began < 5
    assert stdout.count(b"model in service") == 2, "both workers loaded a model"
    wait_for(lambda: not processes_of(run))


def test_the_dataflow_pipeline_gives_the_same_results(stream: Stream, onnx_folder: Path) -> None:
    stream.publish(with_bad_events(100))
    stream.start_as_on_dataflow(onnx_folder, 0.0)
    verdict = stream.wait_for_all()
    assert verdict.kept, verdict
    assert (verdict.predicted, verdict.dead_letters) == (100, 4)
    letters = {message.attributes["dead_letter_subscription"] for message in stream.letters}
    assert letters == {stream.subscription}


@pytest.mark.long
def test_the_oracle_sees_that_beams_own_read_loses_events(stream: Stream, onnx_folder: Path) -> None:
    run = stream.start_as_on_dataflow(onnx_folder, 0.3)
    stream.publish(good_events(200))
    wait_for(lambda: stream.received > 0)
    os.killpg(run.pid, signal.SIGKILL)
    stream.start(onnx_folder, "--direct_num_workers=1")
    last = stream.received
    quiet = time.monotonic() + ACK_SECONDS + 3
    while time.monotonic() < quiet:
        if stream.received > last:
            last, quiet = stream.received, time.monotonic() + ACK_SECONDS + 3
        time.sleep(0.05)
    verdict = stream.verdict()
    assert verdict.lost
    assert verdict.predicted > 100


def test_a_new_release_is_picked_up_and_a_bad_one_is_refused(
    stream: Stream, onnx_folder: Path, other_onnx_folder: Path, tmp_path: Path
) -> None:
    pointer = Pointer(str(tmp_path / "champion.json"))
    pointer.move("1", onnx_folder)
    log = tmp_path / "log.jsonl"
    with log.open("wb") as file:
        run = stream.start(pointer.place, "--direct_num_workers=1", log=file, MODEL_REFRESH_SECONDS="0.3")
    stream.publish(good_events(1))
    wait_for(lambda: stream.received > 0)  # no backlog from the start, which takes seconds
    with stream.publishing_on(first=1, pause=0.01):  # a release is looked for only while there are events
        pointer.write(b'{"name": "ride-duration", "version": "9", "location": "/nowhere"}')
        wait_for(lambda: b"release refused" in log.read_bytes())
        pointer.move("2", other_onnx_folder)
        wait_for(lambda: any(message.attributes["version"] == "2" for message in stream.predictions))
    verdict = stream.wait_for_all()
    assert verdict.kept, verdict
    in_order = sorted(stream.predictions, key=lambda message: message.published)
    versions = [message.attributes["version"] for message in in_order]
    assert [version for version, _ in itertools.groupby(versions)] == ["1", "2"]
    for message in in_order:
        assert json.loads(message.data)["version"] == message.attributes["version"]
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=SECONDS)
    assert run.returncode == 0
