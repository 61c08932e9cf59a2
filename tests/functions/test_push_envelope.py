import base64
import json
from pathlib import Path
from typing import Any

import pytest

from functions.errors import UnreadableBody
from functions.push_envelope import IncomingMessage, decode_push, undecodable_push
from tests.conftest import EVENTS

EVENT = {"ride": {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}, "ride_id": 256}


def recorded(name: str) -> tuple[dict[str, str], bytes]:
    record = json.loads((EVENTS / name).read_text())
    return record["headers"], json.dumps(record["body"]).encode()


@pytest.mark.parametrize("name", sorted(path.name for path in EVENTS.glob("ride_*.json")))
def test_every_recorded_format_contains_the_same_event(name: str) -> None:
    message = decode_push(*recorded(name))
    assert json.loads(message.data) == EVENT
    assert message.message_id
    assert message.subscription == "projects/ridecast-local/subscriptions/ride-events-predict"


def test_the_emulators_push_is_fully_decoded() -> None:
    message = decode_push(*recorded("ride_push_emulator.json"))
    assert message.attributes == {"source": "replay"}
    assert message.publish_time == "2026-11-22T12:42:53.093Z"
    assert message.delivery_attempt is None


def test_a_production_push_has_the_delivery_attempt() -> None:
    assert decode_push(*recorded("ride_push.json")).delivery_attempt == 3


@pytest.mark.parametrize("message", [{}, {"data": None}, {"data": ""}, {"attributes": None, "data": ""}])
def test_a_message_may_have_no_data(message: dict[str, Any]) -> None:
    assert decode_push({}, json.dumps({"message": message}).encode()) == IncomingMessage()


def test_invalid_fields_do_not_affect_the_others() -> None:
    data = base64.b64encode(b"event").decode()
    body = {"message": {"data": data, "attributes": {"a": 1, "b": "2"}, "messageId": 7}, "subscription": [1]}
    assert decode_push({}, json.dumps(body).encode()) == IncomingMessage(data=b"event", attributes={"b": "2"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nope",
        b"[]",
        b"5",
        b"\xff\xfe",
        b'{"message": 5}',
        b"{}",
        b'{"message": {"data": "%%%"}}',
        b'{"message": {"data": "YQ"}}',
        b'{"message": {"data": 5}}',
        b'{"message": ' * 100_000,
        json.dumps(EVENT).encode(),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_an_invalid_delivery_is_reported_and_kept(body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        decode_push({"content-type": "application/json"}, body)
    assert undecodable_push(body).data == body


@pytest.mark.parametrize(
    "event", [{}, {"data": None}, {"data": 5}, {"data_base64": "bm8="}, {"data_base64": "%"}]
)
def test_an_invalid_cloud_event_is_reported(event: dict[str, Any]) -> None:
    with pytest.raises(UnreadableBody):
        decode_push(
            {"content-type": "application/cloudevents+json; charset=utf-8"}, json.dumps(event).encode()
        )


def test_all_recorded_events_are_present() -> None:
    assert len(list(Path(EVENTS).glob("ride_*.json"))) == 5
