"""Beam gives the bytes that the Pub/Sub function publishes for the same event and model."""

import asyncio
import base64
import json
from pathlib import Path

import pytest
from apache_beam.io import PubsubMessage
from google.api_core.datetime_helpers import DatetimeWithNanoseconds

from functions.errors import ModelUnavailable
from functions.event_handler import EventHandler
from functions.model import Model, load_model
from functions.model_manager import ModelManager
from functions.pubsub_message import OutgoingMessage
from functions.push_envelope import IncomingMessage
from functions.resolver import resolve
from jobs.beam.handler import ReceivedEvent, RoutedMessage, StreamTopics, handle_events, received_event
from jobs.beam.streaming import beam_message, is_for_topic
from tests.faults.models import BREAKING_ZONE, save_raising
from tests.models import save_bounded

TOPICS = StreamTopics("projects/p/subscriptions/s", "projects/p/topics/predictions", "projects/p/topics/dead")
RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LARGE = 9_200_000
EVENTS = {
    "good": (json.dumps({"ride": RIDE, "ride_id": 256}).encode(), {"source": "till"}),
    "traced": (json.dumps({"ride": RIDE, "ride_id": "é"}).encode(), {"traceparent": TRACE}),
    "impossible distance": (json.dumps({"ride": RIDE | {"trip_distance": -3}, "ride_id": 2}).encode(), {}),
    "cloud event": (
        json.dumps({"specversion": "1.0", "id": "1", "data": {"ride": RIDE, "ride_id": 5}}).encode(),
        {},
    ),
    "implausible": (json.dumps({"ride": RIDE | {"trip_distance": 50}, "ride_id": 1}).encode(), {}),
    "not a ride": (b'{"ride_id": 3}', {"dead_letter_reason": "foreign"}),
    "zone": (json.dumps({"ride": RIDE | {"PULocationID": 0}, "ride_id": 4}).encode(), {}),
    "not JSON": (b"\xff{", {"source": "till"}),
    "empty": (b"", {"only": "attributes"}),
    "truncated": (b"x" * LARGE, {}),
    "too large": (b"x" * 10_000_001, {}),
}


class FakeTopic:
    """A topic in memory."""

    def __init__(self) -> None:
        self.messages: list[OutgoingMessage] = []

    async def open(self) -> None: ...

    async def publish(self, message: OutgoingMessage) -> None:
        self.messages.append(message)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bounded(tmp_path_factory.mktemp("models") / "bounded")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load_model(resolve(str(folder)))


def published_by_function(folder: Path, message: IncomingMessage) -> tuple[str, OutgoingMessage]:
    """The topic and message that `predict_event` publishes."""
    predictions, dead = FakeTopic(), FakeTopic()
    push = {
        "message": {
            "data": base64.b64encode(message.data).decode(),
            "attributes": message.attributes,
            "messageId": message.message_id,
            "publishTime": message.publish_time,
        },
        "subscription": message.subscription,
    }

    async def deliver() -> None:
        manager = ModelManager(lambda: resolve(str(folder)), load_model, 0)
        await manager.model()
        stream = EventHandler(manager, predictions, dead)
        await stream.handle({}, json.dumps(push).encode(), asyncio.get_running_loop().time() + 30)

    asyncio.run(deliver())
    (published,) = [*predictions.messages, *dead.messages]
    return (TOPICS.predictions if predictions.messages else TOPICS.dead_letters), published


def received(name: str) -> ReceivedEvent:
    data, attributes = EVENTS[name]
    message = IncomingMessage(data, attributes, "17", "2026-11-22T12:42:53.093Z", TOPICS.subscription)
    return ReceivedEvent(message, f"ack {name}")


def test_events_in_a_batch_or_alone_give_the_messages_of_the_function(folder: Path, model: Model) -> None:
    batch = [received(name) for name in EVENTS]
    together, failures = handle_events(batch, model, TOPICS)
    assert failures == []
    assert together == [only for each in batch for only in handle_events([each], model, TOPICS)[0]]
    for each, routed in zip(batch, together, strict=True):
        assert routed == RoutedMessage(*published_by_function(folder, each.message), each.ack_id)
    topics = dict(zip(EVENTS, (routed.topic for routed in together), strict=True))
    predicted = [name for name, topic in topics.items() if topic == TOPICS.predictions]
    assert predicted == ["good", "traced", "impossible distance", "cloud event"]


def test_an_event_for_which_the_model_fails_does_not_fail_others(tmp_path: Path) -> None:
    raising = load_model(resolve(str(save_raising(tmp_path / "raising"))))
    ride = RIDE | {"PULocationID": BREAKING_ZONE}
    breaking = ReceivedEvent(IncomingMessage(json.dumps({"ride": ride, "ride_id": 1}).encode()), "breaking")
    messages, failures = handle_events([received("good"), breaking, received("zone")], raising, TOPICS)
    assert [routed.ack_id for routed in messages] == ["ack good", "ack zone"]
    assert [type(each) for each in failures] == [ModelUnavailable]


def test_no_events_give_no_messages(model: Model) -> None:
    assert handle_events([], model, TOPICS) == ([], [])


def test_beams_messages_are_converted() -> None:
    moment = DatetimeWithNanoseconds(2026, 11, 22, 12, 42, 53, nanosecond=93_000_000)
    data, attributes = EVENTS["good"]
    event = received_event(PubsubMessage(data, attributes, "17", moment), TOPICS.subscription)
    assert event == received("good")._replace(ack_id="")
    event = received_event(PubsubMessage(data, None), "s")
    assert event.message == IncomingMessage(data=data, subscription="s")


def test_a_message_goes_to_one_topic(model: Model) -> None:
    (routed,), _ = handle_events([received("good")], model, TOPICS)
    assert is_for_topic(routed, TOPICS.predictions)
    assert not is_for_topic(routed, TOPICS.dead_letters)
    assert beam_message(routed).data == routed.message.data
    assert beam_message(routed).attributes == routed.message.attributes
