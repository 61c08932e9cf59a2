"""Rows 7 to 15, 24 and 30: Pub/Sub stops, dies, loses topics; the network between is bad."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.cloud.pubsub_v1 import PublisherClient

from jobs.events.pubsub_clients import publisher_client, subscriber_client
from jobs.local.emulators import PubSubEmulator, start_pubsub
from jobs.local.processes import ProcessGroup
from jobs.local.topics import Topics
from tests.faults.stage import Stage, bad_event, envelope, good_events

Row = Callable[..., None]


class Mortal:
    """An emulator of one's own, to stop and to kill."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._programs = ProcessGroup(folder)
        self.host = self.start()

    def start(self) -> str:
        found = start_pubsub(self._programs, self._folder, self._environment)
        assert isinstance(found, PubSubEmulator)
        return found.host

    def signal(self, number: int) -> None:
        self._programs._started[-1].signal(number)

    def close(self) -> None:
        self._programs.close()


@pytest.fixture
def mortal(tmp_path: Path, pubsub: PubSubEmulator, plain_environment: dict[str, str]) -> Iterator[Mortal]:
    mortal = Mortal(tmp_path, plain_environment)
    yield mortal
    mortal.close()


@pytest.fixture
def mortal_stage(
    mortal: Mortal, programs: ProcessGroup, plain_environment: dict[str, str], onnx_folder: Path
) -> Iterator[Stage]:
    environment = plain_environment | {"MODEL_URI": str(onnx_folder)}
    stage = Stage(programs, environment, Topics(mortal.host, "ridecast-mortal"))
    yield stage
    stage.close()


@pytest.mark.long
def test_row_7_pubsub_stands_still(mortal: Mortal, mortal_stage: Stage, row: Row) -> None:
    stage = mortal_stage
    stage.start()
    stage.push()
    with stage.stream(good_events(150)), stage.fault():
        mortal.signal(signal.SIGSTOP)
        time.sleep(8)
        mortal.signal(signal.SIGCONT)
    row(7, "Pub/Sub stands still for 8 s", stage)


@pytest.mark.long
def test_row_8_pubsub_is_killed_and_made_anew(mortal: Mortal, mortal_stage: Stage, row: Row) -> None:
    stage = mortal_stage
    stage.start()
    events = good_events(150)
    half = [envelope(event) for event in events[:75]], [envelope(event) for event in events[75:]]
    stage.events += events[:75]
    stage.deliver(half[0], at_once=8)
    assert not stage.settle().lost, "an emulator forgets, so the first half is read before it dies"
    stage.stop_collecting()
    mortal.signal(signal.SIGKILL)
    stage.back.upstream = None
    stage.events += events[75:]
    with stage.beside(lambda: stage.deliver(half[1], at_once=8, seconds=90)):
        with stage.fault():
            time.sleep(10)
            stage.move(mortal.start())
        stage.collect()
    row(8, "Pub/Sub is killed, made anew after 10 s", stage)


def make_anew(stage: Stage, client: PublisherClient, topic: str, subscription: str) -> None:
    """A topic that was deleted, and what reads it, while the function stands still.

    What is published to a topic before it has a subscription is kept nowhere.
    """
    workers = stage.workers()
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        with subscriber_client(stage.topics.emulator) as subscriber:
            subscriber.delete_subscription(subscription=subscription)
            client.create_topic(name=topic)
            subscriber.create_subscription(name=subscription, topic=topic)
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)


@pytest.mark.long
def test_row_9_the_predictions_topic_goes_and_comes_back(stage: Stage, row: Row) -> None:
    stage.start()
    stage.push()
    stage.publish(good_events(60))
    assert not stage.settle().lost
    client = publisher_client(stage.topics.emulator)
    client.delete_topic(topic=stage.topics.predictions)
    with stage.stream(good_events(60, first=60)), stage.fault():
        time.sleep(4)
        make_anew(stage, client, stage.topics.predictions, stage.topics.predictions_pull)
    client.stop()
    row(9, "the predictions topic is deleted, made anew after 4 s", stage)


def test_row_10_no_dead_letter_topic_for_a_poisoned_event(stage: Stage, row: Row) -> None:
    stage.start()
    stage.push()
    client = publisher_client(stage.topics.emulator)
    client.delete_topic(topic=stage.topics.dead_letters)
    poison = bad_event(b"poison")
    stage.publish([*good_events(30), poison])
    codes = stage.deliver([envelope(poison)], seconds=2)
    assert set(codes[0]) == {503}, "never acknowledged while it would be lost"
    with stage.fault():
        make_anew(stage, client, stage.topics.dead_letters, stage.topics.dead_letters_pull)
    client.stop()
    row(10, "the dead-letter topic is missing for a poisoned event", stage)


@pytest.mark.long
def test_row_11_a_slow_network(stage: Stage, row: Row) -> None:
    stage.start()
    stage.back.delay_seconds = 2.0
    events = good_events(64)
    stage.events += events
    codes = stage.deliver([envelope(event) for event in events], at_once=16)
    assert [each[-1] for each in codes] == [200] * 64, "done although it stays slow"
    with stage.fault():
        stage.back.delay_seconds = 0.0
    row(11, "2 s delay to Pub/Sub", stage)


@pytest.mark.long
def test_row_12_connections_are_reset_after_the_request(stage: Stage, row: Row) -> None:
    stage.start()
    stage.push()
    stage.back.reset_after = 1000
    with stage.stream(good_events(120)), stage.fault():
        stage.back.resets = 5
        while stage.back.resets:
            time.sleep(0.05)
    row(12, "the connection to Pub/Sub is reset after the request, five times", stage)
    assert stage.verdict().duplicates, "what was published and not confirmed is published again"


@pytest.mark.long
def test_row_13_a_black_hole(stage: Stage, row: Row) -> None:
    stage.start()
    stage.push()
    with stage.stream(good_events(120)), stage.fault():
        stage.back.silent = True
        time.sleep(10)
        stage.back.silent = False
    row(13, "Pub/Sub is a black hole for 10 s", stage)


def test_row_30_the_negative_control(stage: Stage, row: Row) -> None:
    """What this system avoids, done on purpose: proof that the oracle would see it."""
    stage.start()
    stage.push(attempts=5)
    with stage.stream(good_events(100)), stage.fault():
        upstream, stage.front.upstream = stage.front.upstream, None
        time.sleep(7)
        stage.front.upstream = upstream
    row(30, "negative control: 5 delivery attempts and 7 s of outage", stage, kept=False)
    assert len(stage.verdict().wrong) > 10, "good events among the dead letters"
