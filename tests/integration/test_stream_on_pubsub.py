"""Ride events become predictions and dead letters on the real emulator, by a real function process."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.cloud import pubsub_v1
from google.pubsub_v1.types import PushConfig, Subscription

from functions.errors import PublishFailed
from functions.publisher import MAX_BATCH_BYTES, TopicPublisher
from functions.pubsub_message import OutgoingMessage
from jobs.events.pubsub_clients import publisher_client, subscriber_client
from jobs.events.subscribers import ReceivedMessage, open_subscriber
from jobs.local.emulators import PubSubEmulator
from jobs.local.topics import Topics
from tests.cloud import Starter

pytestmark = pytest.mark.usefixtures("in_cloud")


class Collected:
    """The messages received from a subscription so far."""

    def __init__(self) -> None:
        self.messages: list[ReceivedMessage] = []
        self._changed = threading.Condition()

    def add(self, message: ReceivedMessage) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def wait_for(self, count: int, seconds: float = 30) -> list[ReceivedMessage]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.messages) >= count, seconds), self.messages
        return self.messages


@pytest.fixture
def collect(pubsub: PubSubEmulator) -> Iterator[Callable[[str], Collected]]:
    subscribers = []

    def start(subscription: str) -> Collected:
        collected = Collected()
        subscribers.append(open_subscriber(subscription, collected.add, pubsub.host))
        return collected

    yield start
    for subscriber in subscribers:
        subscriber.close()


@pytest.fixture
def publisher(pubsub: PubSubEmulator) -> Iterator[pubsub_v1.PublisherClient]:
    client = publisher_client(pubsub.host)
    yield client
    client.stop()


def event(ride_id: Any, **changes: Any) -> bytes:
    ride = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66} | changes
    return json.dumps({"ride": ride, "ride_id": ride_id}).encode()


def function(start_function: Starter, topics: Topics, pubsub: PubSubEmulator, folder: Path) -> str:
    return start_function(
        "predict_event",
        MODEL_URI=str(folder),
        PUBSUB_EMULATOR_HOST=pubsub.host,
        PREDICTIONS_TOPIC=topics.predictions,
        DEAD_LETTER_TOPIC=topics.dead_letters,
    )


def test_events_become_predictions_and_bad_ones_dead_letters(
    start_function: Starter,
    topics: Topics,
    pubsub: PubSubEmulator,
    onnx_folder: Path,
    publisher: pubsub_v1.PublisherClient,
    collect: Callable[[str], Collected],
) -> None:
    topics.push_to(function(start_function, topics, pubsub, onnx_folder))
    predictions, dead_letters = collect(topics.predictions_pull), collect(topics.dead_letters_pull)
    good = [publisher.publish(topics.ride_events, event(number), trip=str(number)) for number in range(60)]
    bad = [
        publisher.publish(topics.ride_events, data, source="till")
        for data in (b"poison", event("far", trip_distance="far"), event("nowhere", PULocationID=0), b"\xff")
    ]
    for future in good + bad:
        future.result(10)

    predicted = predictions.wait_for(60)
    assert sorted(json.loads(each.data)["prediction"]["ride_id"] for each in predicted) == list(range(60))
    assert {each.attributes["version"] for each in predicted} == {"onnx"}
    letters = dead_letters.wait_for(4)
    assert sorted(each.data for each in letters) == sorted(
        [b"poison", b"\xff", event("far", trip_distance="far"), event("nowhere", PULocationID=0)]
    )
    assert {each.attributes["source"] for each in letters} == {"till"}
    assert {each.attributes["dead_letter_reason"] for each in letters} == {"invalid_ride", "unreadable_body"}


@pytest.mark.parametrize("metadata", [True, False])
def test_events_without_pubsubs_wrapper(
    start_function: Starter,
    topics: Topics,
    pubsub: PubSubEmulator,
    onnx_folder: Path,
    publisher: pubsub_v1.PublisherClient,
    collect: Callable[[str], Collected],
    metadata: bool,
) -> None:
    """Each event is acknowledged once, although the response has content."""
    push_unwrapped(topics, function(start_function, topics, pubsub, onnx_folder), metadata=metadata)
    predictions, dead_letters = collect(topics.predictions_pull), collect(topics.dead_letters_pull)
    good = [publisher.publish(topics.ride_events, event(number), source="till") for number in range(10)]
    bad = [
        publisher.publish(topics.ride_events, data, source="Zoë")
        for data in (b"poison", event(1, PULocationID=0))
    ]
    for future in good + bad:
        future.result(10)

    predicted = predictions.wait_for(10)
    letters = dead_letters.wait_for(2)
    time.sleep(1.5)  # the emulator delivers again after one second
    assert sorted(json.loads(each.data)["prediction"]["ride_id"] for each in predicted) == list(range(10))
    assert sorted(each.data for each in letters) == sorted([b"poison", event(1, PULocationID=0)])
    for letter in letters:
        assert letter.attributes.get("dead_letter_subscription") == (topics.push if metadata else None)
        assert letter.attributes.get("source") == ("Zoë" if metadata else None)


def push_unwrapped(topics: Topics, url: str, *, metadata: bool) -> None:
    """Creates the push subscription with payload unwrapping."""
    unwrapping = PushConfig.NoWrapper(write_metadata=metadata)
    with subscriber_client(topics.emulator) as subscriber:
        subscriber.create_subscription(
            Subscription(
                name=topics.push,
                topic=topics.ride_events,
                push_config=PushConfig(push_endpoint=url, no_wrapper=unwrapping),
                ack_deadline_seconds=30,
            )
        )


def test_an_event_is_not_acknowledged_until_its_topic_exists(
    start_function: Starter,
    topics: Topics,
    pubsub: PubSubEmulator,
    onnx_folder: Path,
    collect: Callable[[str], Collected],
) -> None:
    address = function(start_function, topics, pubsub, onnx_folder)
    client = publisher_client(pubsub.host)
    client.delete_topic(topic=topics.dead_letters)
    push = {"message": {"data": base64.b64encode(b"poison").decode(), "messageId": "1"}, "subscription": "s"}
    assert httpx.post(address, json=push, timeout=20).status_code == 503
    client.create_topic(name=topics.dead_letters)
    assert httpx.post(address, json=push, timeout=20).status_code == 200
    client.stop()


def test_messages_published_at_once_share_calls_and_are_all_confirmed(
    topics: Topics, collect: Callable[[str], Collected]
) -> None:
    collected = collect(topics.predictions_pull)

    async def publish() -> None:
        publisher = TopicPublisher(topics.predictions, topics.emulator)
        await publisher.open()
        await asyncio.gather(*(publisher.publish(OutgoingMessage(b"%d" % n, {})) for n in range(2500)))

    began = time.monotonic()
    asyncio.run(publish())
    assert time.monotonic() - began < 10, "one call a message would take longer"
    assert sorted(int(each.data) for each in collected.wait_for(2500)) == list(range(2500))


def test_large_messages_are_split_into_calls_within_the_limit_of_pubsub(topics: Topics) -> None:
    # Three exceed one call; one is within the limit of what the client receives from the emulator.
    large = 4_000_000
    assert 3 * large > MAX_BATCH_BYTES

    async def publish() -> None:
        publisher = TopicPublisher(topics.predictions, topics.emulator)
        await asyncio.gather(*(publisher.publish(OutgoingMessage(b"x" * large, {})) for _ in range(3)))

    asyncio.run(publish())
    with pubsub_v1.SubscriberClient() as subscriber:
        sizes = []
        for _ in range(3):
            pulled = subscriber.pull(subscription=topics.predictions_pull, max_messages=1, timeout=20)
            sizes += [len(received.message.data) for received in pulled.received_messages]
            acked = [received.ack_id for received in pulled.received_messages]
            subscriber.acknowledge(subscription=topics.predictions_pull, ack_ids=acked)
    assert sizes == [large] * 3


def test_a_rejected_message_does_not_fail_others(topics: Topics, collect: Callable[[str], Collected]) -> None:
    collected = collect(topics.predictions_pull)
    empty = OutgoingMessage(b"", {})  # Pub/Sub rejects a message without data and attributes

    async def publish() -> list[Any]:
        publisher = TopicPublisher(topics.predictions, topics.emulator)
        messages = [OutgoingMessage(b"first", {}), empty, OutgoingMessage(b"last", {})]
        return await asyncio.gather(*map(publisher.publish, messages), return_exceptions=True)

    first, refused, last = asyncio.run(publish())
    assert (first, last) == (None, None)
    assert isinstance(refused, PublishFailed)
    assert sorted(each.data for each in collected.wait_for(2)) == [b"first", b"last"]


def test_a_missing_topic_fails_at_once(topics: Topics) -> None:
    began = time.monotonic()
    with pytest.raises(PublishFailed, match="did not confirm"):
        asyncio.run(
            TopicPublisher(f"{topics.predictions}-no", topics.emulator).publish(OutgoingMessage(b"x", {}))
        )
    assert time.monotonic() - began < 5
