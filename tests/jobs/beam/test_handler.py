"""The same event and model give the bytes that the Pub/Sub function publishes."""

import asyncio
import base64
import json
from pathlib import Path

import pytest
from apache_beam.io import PubsubMessage
from google.api_core.datetime_helpers import DatetimeWithNanoseconds

from functions.errors import ModelUnavailable
from functions.event_handler import Stream
from functions.model import Model, load_model
from functions.model_manager import Predictor
from functions.pubsub_message import OutMessage
from functions.push_envelope import Message
from functions.resolver import resolve
from jobs.beam.handler import Answer, Pulled, Route, answer
from jobs.beam.streaming import from_beam, goes_to, to_beam
from tests.faults.models import BREAKING_ZONE, save_raising
from tests.models import save_bounded

ROUTE = Route("projects/p/subscriptions/s", "projects/p/topics/predictions", "projects/p/topics/dead")
RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LARGE = 9_200_000
EVENTS = {
    "good": (json.dumps({"ride": RIDE, "ride_id": 256}).encode(), {"source": "till"}),
    "traced": (json.dumps({"ride": RIDE, "ride_id": "é"}).encode(), {"traceparent": TRACE}),
    "implausible": (json.dumps({"ride": RIDE | {"trip_distance": 50}, "ride_id": 1}).encode(), {}),
    "no ride": (b'{"ride_id": 3}', {"dead_letter_reason": "foreign"}),
    "zone": (json.dumps({"ride": RIDE | {"PULocationID": 0}, "ride_id": 4}).encode(), {}),
    "no JSON": (b"\xff{", {"source": "till"}),
    "empty": (b"", {"only": "attributes"}),
    "cut": (b"x" * LARGE, {}),
    "too large": (b"x" * 10_000_001, {}),
}


class Heap:
    """A topic in memory."""

    def __init__(self) -> None:
        self.messages: list[OutMessage] = []

    async def open(self) -> None: ...

    async def publish(self, message: OutMessage) -> None:
        self.messages.append(message)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bounded(tmp_path_factory.mktemp("models") / "bounded")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load_model(resolve(str(folder)))


def function_says(folder: Path, message: Message) -> tuple[str, OutMessage]:
    """What `predict_event` publishes, and where."""
    predictions, dead = Heap(), Heap()
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
        predictor = Predictor(lambda: resolve(str(folder)), load_model, 0)
        await predictor.model()
        stream = Stream(predictor, predictions, dead)
        await stream.handle({}, json.dumps(push).encode(), asyncio.get_running_loop().time() + 30)

    asyncio.run(deliver())
    (said,) = [*predictions.messages, *dead.messages]
    return (ROUTE.predictions if predictions.messages else ROUTE.dead_letters), said


def pulled(name: str) -> Pulled:
    data, attributes = EVENTS[name]
    message = Message(data, attributes, "17", "2026-11-22T12:42:53.093Z", ROUTE.events)
    return Pulled(message, f"ack {name}")


def test_together_or_alone_an_event_has_the_answer_of_the_function(folder: Path, model: Model) -> None:
    batch = [pulled(name) for name in EVENTS]
    together, failures = answer(batch, model, ROUTE)
    assert failures == []
    assert together == [only for each in batch for only in answer([each], model, ROUTE)[0]]
    for each, said in zip(batch, together, strict=True):
        assert said == Answer(*function_says(folder, each.message), each.ack_id)
    assert [name for name, said in zip(EVENTS, together, strict=True) if said.topic == ROUTE.predictions] == [
        "good",
        "traced",
    ]


def test_an_event_with_which_the_model_fails_fails_no_other(tmp_path: Path) -> None:
    raising = load_model(resolve(str(save_raising(tmp_path / "raising"))))
    ride = RIDE | {"PULocationID": BREAKING_ZONE}
    breaking = Pulled(Message(json.dumps({"ride": ride, "ride_id": 1}).encode()), "breaking")
    answers, failures = answer([pulled("good"), breaking, pulled("zone")], raising, ROUTE)
    assert [said.ack_id for said in answers] == ["ack good", "ack zone"]
    assert [type(each) for each in failures] == [ModelUnavailable]


def test_no_events_have_no_answers(model: Model) -> None:
    assert answer([], model, ROUTE) == ([], [])


def test_beams_messages_are_ours() -> None:
    moment = DatetimeWithNanoseconds(2026, 11, 22, 12, 42, 53, nanosecond=93_000_000)
    data, attributes = EVENTS["good"]
    read = from_beam(PubsubMessage(data, attributes, "17", moment), ROUTE.events)
    assert read == pulled("good")._replace(ack_id="")
    assert from_beam(PubsubMessage(data, None), "s").message == Message(data=data, subscription="s")


def test_an_answer_goes_to_one_topic(model: Model) -> None:
    (said,), _ = answer([pulled("good")], model, ROUTE)
    assert goes_to(said, ROUTE.predictions)
    assert not goes_to(said, ROUTE.dead_letters)
    assert to_beam(said).data == said.message.data
    assert to_beam(said).attributes == said.message.attributes
