"""Ride events through the real emulator and a real function process to predictions and dead letters."""

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

from functions.errors import PublishFailed
from functions.publisher import MOST_BYTES, TopicPublisher
from functions.pubsub_message import OutMessage
from jobs.events.pubsub_clients import publisher_client
from jobs.events.subscribers import Arrival, open_outlet
from jobs.local.emulators import PubSub
from jobs.local.topics import Topics
from tests.cloud import Starter

pytestmark = pytest.mark.usefixtures("in_cloud")


class Collected:
    """What came out of a subscription so far."""

    def __init__(self) -> None:
        self.messages: list[Arrival] = []
        self._changed = threading.Condition()

    def take(self, arrival: Arrival) -> None:
        with self._changed:
            self.messages.append(arrival)
            self._changed.notify_all()

    def wait_for(self, count: int, seconds: float = 30) -> list[Arrival]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.messages) >= count, seconds), self.messages
        return self.messages


@pytest.fixture
def collect(pubsub: PubSub) -> Iterator[Callable[[str], Collected]]:
    outlets = []

    def start(subscription: str) -> Collected:
        collected = Collected()
        outlets.append(open_outlet(subscription, collected.take, pubsub.host))
        return collected

    yield start
    for outlet in outlets:
        outlet.close()


@pytest.fixture
def publisher(pubsub: PubSub) -> Iterator[pubsub_v1.PublisherClient]:
    client = publisher_client(pubsub.host)
    yield client
    client.stop()


def event(ride_id: Any, **changes: Any) -> bytes:
    ride = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66} | changes
    return json.dumps({"ride": ride, "ride_id": ride_id}).encode()


def function(start_function: Starter, topics: Topics, pubsub: PubSub, folder: Path) -> str:
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
    pubsub: PubSub,
    onnx_folder: Path,
    publisher: pubsub_v1.PublisherClient,
    collect: Callable[[str], Collected],
) -> None:
    topics.push_to(function(start_function, topics, pubsub, onnx_folder))
    predictions, dead_letters = collect(topics.predictions_pull), collect(topics.dead_letters_pull)
    good = [publisher.publish(topics.ride_events, event(number), trip=str(number)) for number in range(60)]
    bad = [
        publisher.publish(topics.ride_events, data, source="till")
        for data in (b"poison", event("far", trip_distance=1e9), event("nowhere", PULocationID=0), b"\xff")
    ]
    for future in good + bad:
        future.result(10)

    made = predictions.wait_for(60)
    assert sorted(json.loads(each.data)["prediction"]["ride_id"] for each in made) == list(range(60))
    assert {each.attributes["version"] for each in made} == {"onnx"}
    letters = dead_letters.wait_for(4)
    assert sorted(each.data for each in letters) == sorted(
        [b"poison", b"\xff", event("far", trip_distance=1e9), event("nowhere", PULocationID=0)]
    )
    assert {each.attributes["source"] for each in letters} == {"till"}
    assert {each.attributes["dead_letter_reason"] for each in letters} == {"invalid_ride", "unreadable_body"}


def test_a_missing_topic_is_not_acknowledged_until_it_is_there(
    start_function: Starter,
    topics: Topics,
    pubsub: PubSub,
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

    async def story() -> None:
        publisher = TopicPublisher(topics.predictions, topics.emulator)
        await publisher.open()
        await asyncio.gather(*(publisher.publish(OutMessage(b"%d" % n, {})) for n in range(2500)))

    began = time.monotonic()
    asyncio.run(story())
    assert time.monotonic() - began < 10, "one call a message would take longer"
    assert sorted(int(each.data) for each in collected.wait_for(2500)) == list(range(2500))


def test_large_messages_go_out_in_calls_that_pubsub_takes(topics: Topics) -> None:
    # Three do not fit into one call; one fits into what the client takes from the emulator.
    large = 4_000_000
    assert 3 * large > MOST_BYTES

    async def story() -> None:
        publisher = TopicPublisher(topics.predictions, topics.emulator)
        await asyncio.gather(*(publisher.publish(OutMessage(b"x" * large, {})) for _ in range(3)))

    asyncio.run(story())
    with pubsub_v1.SubscriberClient() as subscriber:
        sizes = []
        for _ in range(3):
            pulled = subscriber.pull(subscription=topics.predictions_pull, max_messages=1, timeout=20)
            sizes += [len(received.message.data) for received in pulled.received_messages]
            acked = [received.ack_id for received in pulled.received_messages]
            subscriber.acknowledge(subscription=topics.predictions_pull, ack_ids=acked)
    assert sizes == [large] * 3


def test_a_message_that_is_refused_does_not_fail_its_neighbours(
    topics: Topics, collect: Callable[[str], Collected]
) -> None:
    collected = collect(topics.predictions_pull)
    empty = OutMessage(b"", {})  # Pub/Sub takes no message without data and attributes

    async def story() -> list[Any]:
        publisher = TopicPublisher(topics.predictions, topics.emulator)
        messages = [OutMessage(b"first", {}), empty, OutMessage(b"last", {})]
        return await asyncio.gather(*map(publisher.publish, messages), return_exceptions=True)

    first, refused, last = asyncio.run(story())
    assert (first, last) == (None, None)
    assert isinstance(refused, PublishFailed)
    assert sorted(each.data for each in collected.wait_for(2)) == [b"first", b"last"]


def test_a_topic_that_is_not_there_fails_at_once(topics: Topics) -> None:
    began = time.monotonic()
    with pytest.raises(PublishFailed, match="did not confirm"):
        asyncio.run(TopicPublisher(f"{topics.predictions}-no", topics.emulator).publish(OutMessage(b"x", {})))
    assert time.monotonic() - began < 5
