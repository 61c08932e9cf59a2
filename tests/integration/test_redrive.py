"""Redrive on the real emulator: dead letters return to their topic, and to a real function process."""

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from google.cloud import pubsub_v1
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.types import PubsubMessage
from rich.console import Console

from functions.releases import Release
from jobs.commands.redrive import command
from jobs.events import redrive
from jobs.events.pubsub_clients import subscriber_client
from jobs.events.replay import RecordedRide
from jobs.events.subscribers import MAX_MESSAGES
from jobs.local.cloud import LocalCloud
from jobs.local.emulators import PubSubEmulator
from jobs.local.screen import Screen
from jobs.local.summary import ServedModel
from jobs.local.topics import Topics
from jobs.local.up import description
from tests.cloud import Starter
from tests.integration.test_stream_on_pubsub import event, push_unwrapped

Reader = Callable[[str], list[Any]]


@pytest.fixture(autouse=True)
def on_the_emulator(monkeypatch: pytest.MonkeyPatch, pubsub: PubSubEmulator) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)
    for name in ("RIDE_EVENTS_TOPIC", "DEAD_LETTER_SUBSCRIPTION"):
        monkeypatch.delenv(name, raising=False)
    # The emulator returns an empty response only if there is no message.
    monkeypatch.setattr(redrive, "QUIET_PULLS", 1)


@pytest.fixture
def subscriber() -> Iterator[pubsub_v1.SubscriberClient]:
    with subscriber_client() as client:
        yield client


@pytest.fixture
def readable(topics: Topics, subscriber: pubsub_v1.SubscriberClient) -> None:
    """Creates the function's subscription, for the test to pull from."""
    subscriber.create_subscription(name=topics.push, topic=topics.ride_events, ack_deadline_seconds=60)


@pytest.fixture
def read_all(subscriber: pubsub_v1.SubscriberClient) -> Reader:
    def read(subscription: str) -> list[Any]:
        """Pulls and acknowledges all available messages."""
        messages = []
        while received := subscriber.pull(
            subscription=subscription, max_messages=100, timeout=1.5
        ).received_messages:
            messages += [each.message for each in received]
            subscriber.acknowledge(subscription=subscription, ack_ids=[each.ack_id for each in received])
        return messages

    return read


def letter(topics: Topics, data: bytes, reason: str = "invalid_ride", **attributes: str) -> PubsubMessage:
    added = {
        "dead_letter_reason": reason,
        "dead_letter_detail": "#/ride: is missing",
        "dead_letter_subscription": topics.push,
        "dead_letter_message_id": uuid.uuid4().hex,
        "dead_letter_model_version": "7",
    }
    return PubsubMessage(data=data, attributes=added | attributes)


def publish(topic: str, messages: Sequence[PubsubMessage]) -> None:
    for first in range(0, len(messages), 1000):
        PublisherClient().publish(topic=topic, messages=messages[first : first + 1000])


def run(topics: Topics, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["--from", topics.dead_letters_pull, *arguments])


def bodies(messages: Sequence[Any]) -> list[bytes]:
    return sorted(message.data for message in messages)


@pytest.mark.usefixtures("readable")
def test_a_dry_run_changes_nothing_and_shows_the_command_that_sends(topics: Topics, read_all: Reader) -> None:
    invalid = [letter(topics, event(number)) for number in range(250)]
    unreadable = [letter(topics, b"poison", "unreadable_body")]
    truncated = [letter(topics, b"beginning", dead_letter_full_size="9000001")]
    publish(topics.dead_letters, invalid + unreadable + truncated)

    dry_run = run(topics, "--reason", "invalid_ride")

    assert dry_run.exit_code == 0, dry_run.output
    rows = [[cell.strip() for cell in line.split("│")[1:5]] for line in dry_run.output.splitlines()]
    assert ["invalid_ride", "7", "251", "250"] in rows
    assert ["unreadable_body", "7", "1", "0"] in rows
    assert f"250 can be sent to {topics.ride_events}" in dry_run.output
    assert "1 left: truncated" in dry_run.output
    assert "1 left: not selected by --reason" in dry_run.output
    assert read_all(topics.push) == []

    arguments = shlex.split(dry_run.output.splitlines()[-1])
    sent = CliRunner().invoke(command, arguments[arguments.index("--from") :])
    assert sent.exit_code == 0, sent.output
    assert f"250 sent to {topics.ride_events}" in sent.output
    assert bodies(read_all(topics.push)) == sorted(event(number) for number in range(250))
    assert bodies(read_all(topics.dead_letters_pull)) == [b"beginning", b"poison"]


def test_each_event_returns_to_its_own_topic_unchanged(
    topics: Topics, subscriber: pubsub_v1.SubscriberClient, read_all: Reader
) -> None:
    """One was dead-lettered by the function, the other by Pub/Sub itself, from another topic."""
    subscriber.create_subscription(name=topics.push, topic=topics.ride_events)
    own = {"source": "till", "traceparent": "00-1-2-01"}
    by_pubsub = {
        "CloudPubSubDeadLetterSourceDeliveryCount": "100",
        "CloudPubSubDeadLetterSourceSubscription": topics.predictions_pull.rpartition("/")[2],
        "CloudPubSubDeadLetterSourceSubscriptionProject": topics.project,
    }
    publish(
        topics.dead_letters,
        [letter(topics, b"\xff", **own), PubsubMessage(data=b"{}", attributes=own | by_pubsub)],
    )

    result = run(topics, "--send")

    assert result.exit_code == 0, result.output
    for subscription, data in ((topics.push, b"\xff"), (topics.predictions_pull, b"{}")):
        (message,) = read_all(subscription)
        assert (message.data, dict(message.attributes)) == (data, own)
    assert read_all(topics.dead_letters_pull) == []


def test_in_the_local_cloud_no_option_is_needed() -> None:
    with LocalCloud(Screen(Console(file=io.StringIO()))) as cloud:
        cloud.start_pubsub()
        variables = cloud.addresses.environment()
        publish(
            variables["DEAD_LETTER_TOPIC"], [PubsubMessage(data=b"1", attributes={"dead_letter_reason": "x"})]
        )

        result = CliRunner().invoke(command, env=variables)

        champion = ServedModel(Release(name="m", version="1", location="gs://models/1"), {})
        settings, ride = cloud.folder / "env.sh", RecordedRide(1, {}, 1.0)
        shown = description(cloud.addresses, settings, champion, "march.parquet", ride)
        assert " -m jobs redrive\n" in shown
    assert result.exit_code == 0, result.output
    assert f"1 can be sent to {variables['RIDE_EVENTS_TOPIC']}" in result.output


@pytest.mark.usefixtures("readable")
def test_letters_that_cannot_be_sent_stay_and_the_others_are_sent(topics: Topics, read_all: Reader) -> None:
    unknown_source = letter(topics, b"unknown source")
    del unknown_source.attributes["dead_letter_subscription"]
    missing = letter(topics, b"missing", dead_letter_subscription=f"{topics.push}-no")
    PublisherClient().delete_topic(topic=topics.predictions)
    topicless = letter(topics, b"topicless", dead_letter_subscription=topics.predictions_pull)
    refused = letter(topics, b"")  # Pub/Sub takes no message without data and attributes
    foreign = PubsubMessage(data=b"no dead letter", attributes={"source": "till"})
    good = [letter(topics, event(number)) for number in range(20)]
    publish(topics.dead_letters, [unknown_source, missing, topicless, *good[:7], refused, *good[7:], foreign])

    result = run(topics, "--send")

    assert result.exit_code == 1
    assert "1 left: not dead letters" in result.output
    assert (
        "1 not sent: no attribute names the subscription they came from, as after payload " in result.output
    )
    assert f"1 not sent: there is no {topics.push}-no; give --to" in result.output
    assert f"1 not sent: the topic of {topics.predictions_pull} was deleted; give --to" in result.output
    assert f"1 not sent: rejected by {topics.ride_events}: " in result.output
    assert "Error: 4 dead letters could not be sent" in result.output
    assert bodies(read_all(topics.push)) == sorted(event(number) for number in range(20))

    assert run(topics, "--send", "--to", topics.ride_events).exit_code == 1
    assert bodies(read_all(topics.push)) == [b"missing", b"topicless", b"unknown source"]
    assert bodies(read_all(topics.dead_letters_pull)) == [b"", b"no dead letter"]


@pytest.mark.usefixtures("readable")
def test_large_letters_are_split_into_calls_within_the_limit_of_pubsub(
    topics: Topics, read_all: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator accepts larger calls than Pub/Sub."""
    for number in range(12):
        publish(topics.dead_letters, [letter(topics, b"%d" % (number % 10) * 1_500_000)])
    publish_call = PublisherClient.publish
    calls = []

    def record_and_publish(self: PublisherClient, *args: Any, **named: Any) -> Any:
        calls.append([len(message.data) for message in named["messages"]])
        return publish_call(self, *args, **named)

    monkeypatch.setattr(PublisherClient, "publish", record_and_publish)

    result = run(topics, "--send")

    assert result.exit_code == 0, result.output
    assert [len(message.data) for message in read_all(topics.push)] == [1_500_000] * 12
    assert max(map(sum, calls)) < 10_000_000
    assert len(calls) < 12


def test_missing_names_are_reported_and_nothing_is_lost(topics: Topics, read_all: Reader) -> None:
    publish(topics.dead_letters, [letter(topics, event(number)) for number in range(5)])
    nowhere = f"{topics.ride_events}-no"

    result = run(topics, "--send", "--to", nowhere)

    assert result.exit_code == 1
    assert f"5 not sent: there is no {nowhere}" in result.output
    assert run(topics, "--send", "--to", topics.dead_letters).exit_code == 2
    assert len(read_all(topics.dead_letters_pull)) == 5
    missing = CliRunner().invoke(command, ["--from", f"{topics.dead_letters_pull}-no"])
    assert missing.exit_code == 1
    assert missing.output == f"Error: there is no {topics.dead_letters_pull}-no\n"


def test_all_events_become_predictions_except_a_bad_one_which_is_dead_lettered_once_more(
    start_function: Starter,
    topics: Topics,
    pubsub: PubSubEmulator,
    onnx_folder: Path,
    read_all: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redrive, "QUIET_PULLS", 3)
    address = start_function(
        "predict_event",
        MODEL_URI=str(onnx_folder),
        PUBSUB_EMULATOR_HOST=pubsub.host,
        PREDICTIONS_TOPIC=topics.predictions,
        DEAD_LETTER_TOPIC=topics.dead_letters,
    )
    topics.push_to(address)
    publish(topics.dead_letters, [letter(topics, event(number)) for number in range(30)])
    publish(topics.ride_events, [PubsubMessage(data=event(99, PULocationID=0))])

    result = run(topics, "--send")

    assert result.exit_code == 0, result.output
    assert f"31 sent to {topics.ride_events}" in result.output
    assert "1 left: sent by this run and dead-lettered again" in result.output
    predicted = [json.loads(each.data)["prediction"]["ride_id"] for each in read_all(topics.predictions_pull)]
    assert sorted(predicted) == list(range(30))
    (back,) = read_all(topics.dead_letters_pull)
    assert back.data == event(99, PULocationID=0)


@pytest.mark.parametrize("metadata", [True, False])
def test_the_dead_letter_of_an_unwrapped_event_comes_back_as_the_event(
    start_function: Starter,
    topics: Topics,
    pubsub: PubSubEmulator,
    onnx_folder: Path,
    subscriber: pubsub_v1.SubscriberClient,
    read_all: Reader,
    monkeypatch: pytest.MonkeyPatch,
    metadata: bool,
) -> None:
    monkeypatch.setattr(redrive, "QUIET_PULLS", 3)
    address = start_function(
        "predict_event",
        MODEL_URI=str(onnx_folder),
        PUBSUB_EMULATOR_HOST=pubsub.host,
        PREDICTIONS_TOPIC=topics.predictions,
        DEAD_LETTER_TOPIC=topics.dead_letters,
    )
    push_unwrapped(topics, address, metadata=metadata)
    other = f"{topics.push}-other"
    subscriber.create_subscription(name=other, topic=topics.ride_events)
    bad = event(99, PULocationID=0)
    publish(topics.ride_events, [PubsubMessage(data=bad, attributes={"source": "till"})])
    (original,) = read_all(other)

    unknown = run(topics, "--send")
    destination = [] if metadata else ["--to", topics.ride_events]
    result = unknown if metadata else run(topics, "--send", *destination)

    assert result.exit_code == 0, result.output
    assert f"1 sent to {topics.ride_events}" in result.output
    assert "1 left: sent by this run and dead-lettered again" in result.output
    if not metadata:
        assert "unwrapping without metadata; give --to" in unknown.output
    (back,) = read_all(other)
    assert back.data == original.data == bad
    assert dict(back.attributes) == (dict(original.attributes) if metadata else {})
    (letter_again,) = read_all(topics.dead_letters_pull)
    assert letter_again.data == bad
    subscriber.delete_subscription(subscription=other)


@pytest.mark.usefixtures("readable")
def test_an_event_that_pubsub_dead_letters_again_is_not_sent_again(
    topics: Topics, subscriber: pubsub_v1.SubscriberClient, read_all: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead letters by Pub/Sub do not contain the event's message id."""
    by_pubsub = {
        "CloudPubSubDeadLetterSourceSubscription": topics.push.rpartition("/")[2],
        "CloudPubSubDeadLetterSourceSubscriptionProject": topics.project,
    }
    given_up = PubsubMessage(data=event(1), attributes={"source": "till"} | by_pubsub)
    publish(topics.dead_letters, [given_up])
    publish_call = PublisherClient.publish

    def publish_and_dead_letter(self: PublisherClient, *args: Any, **named: Any) -> Any:
        response = publish_call(self, *args, **named)
        publish_call(self, topic=topics.dead_letters, messages=[given_up])
        return response

    with monkeypatch.context() as patch:
        patch.setattr(PublisherClient, "publish", publish_and_dead_letter)
        result = run(topics, "--send")

    assert result.exit_code == 0, result.output
    assert "1 left: sent by this run and dead-lettered again" in result.output
    assert bodies(read_all(topics.push)) == [event(1)]
    assert len(read_all(topics.dead_letters_pull)) == 1


@pytest.fixture
def interrupted(
    topics: Topics, subscriber: pubsub_v1.SubscriberClient, readable: None
) -> Callable[[int], tuple[int, set[bytes]]]:
    def interrupt(number: int) -> tuple[int, set[bytes]]:
        """Sends the command a signal when its first events arrive; returns its exit code and their bodies."""
        arguments = ["redrive", "--send", "--from", topics.dead_letters_pull]
        with subprocess.Popen([sys.executable, "-m", "jobs", *arguments], env=dict(os.environ)) as process:
            first = subscriber.pull(subscription=topics.push, max_messages=1, timeout=30).received_messages
            process.send_signal(number)
            return process.wait(120), {each.message.data for each in first}

    return interrupt


ALL = 5000


@pytest.mark.usefixtures("readable")
def test_if_killed_every_event_is_in_the_topic_or_still_dead_lettered(
    topics: Topics,
    subscriber: pubsub_v1.SubscriberClient,
    read_all: Reader,
    interrupted: Callable[[int], tuple[int, set[bytes]]],
) -> None:
    publish(topics.dead_letters, [letter(topics, b"%d" % number) for number in range(ALL)])

    code, sent = interrupted(signal.SIGKILL)

    assert code == -signal.SIGKILL
    # Letters leased by the killed process cannot be pulled for a while, except after a seek.
    snapshot = f"projects/{topics.project}/snapshots/after"
    subscriber.create_snapshot(name=snapshot, subscription=topics.dead_letters_pull)
    subscriber.seek(request={"subscription": topics.dead_letters_pull, "snapshot": snapshot})
    remaining = {message.data for message in read_all(topics.dead_letters_pull)}
    sent |= {message.data for message in read_all(topics.push)}
    assert remaining, "killed too late for this test"
    assert remaining | sent == {b"%d" % number for number in range(ALL)}
    assert len(remaining & sent) <= MAX_MESSAGES


def test_ctrl_c_sends_no_event_twice_and_releases_the_others(
    topics: Topics, read_all: Reader, interrupted: Callable[[int], tuple[int, set[bytes]]]
) -> None:
    publish(topics.dead_letters, [letter(topics, b"%d" % number) for number in range(ALL)])

    code, sent = interrupted(signal.SIGINT)

    assert code == 130
    remaining = bodies(read_all(topics.dead_letters_pull))
    sent |= {message.data for message in read_all(topics.push)}
    assert remaining, "stopped too late for this test"
    assert sorted([*remaining, *sent]) == sorted(b"%d" % number for number in range(ALL))
