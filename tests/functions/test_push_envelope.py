import base64
import json
from pathlib import Path
from typing import Any

import pytest

from functions.errors import UnreadableBody
from functions.push_envelope import IncomingMessage, decode_base64, decode_push, ride_document, whole_body
from tests.conftest import EVENTS

EVENT = {"ride": {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}, "ride_id": 256}
DATA = json.dumps(EVENT).encode()
SUBSCRIPTION = "projects/ridecast-local/subscriptions/ride-events-predict"
CONTEXT = {"specversion": "1.0", "id": "1", "source": "//tills", "type": "com.example.ride.started"}


def recorded(name: str) -> tuple[dict[str, str], bytes]:
    record = json.loads((EVENTS / name).read_text())
    return record["headers"], json.dumps(record["body"]).encode()


def envelope(data: str = base64.b64encode(DATA).decode(), **more: Any) -> dict[str, Any]:
    return {"message": {"data": data, "messageId": "7"}, "subscription": SUBSCRIPTION, **more}


@pytest.mark.parametrize("name", sorted(path.name for path in EVENTS.glob("ride_*.json")))
def test_every_recorded_form_contains_the_same_event(name: str) -> None:
    message = decode_push(*recorded(name))
    assert ride_document(json.loads(message.data))[0] == EVENT


@pytest.mark.parametrize(
    "name", sorted(path.name for path in EVENTS.glob("ride_*.json") if "own" not in path.name)
)
def test_pubsubs_metadata_is_read_from_every_form_that_has_it(name: str) -> None:
    headers, body = recorded(name)
    message = decode_push(headers, body)
    if "without_metadata" in name:
        assert (message.message_id, message.subscription) == ("", "")
    else:
        assert message.message_id
        assert message.subscription == SUBSCRIPTION


def test_the_emulators_push_is_fully_decoded() -> None:
    message = decode_push(*recorded("ride_push_emulator.json"))
    assert message.attributes == {"source": "replay"}
    assert message.publish_time == "2026-11-22T12:42:53.093Z"
    assert message.delivery_attempt is None


def test_a_production_push_has_the_delivery_attempt_and_the_ordering_key() -> None:
    message = decode_push(*recorded("ride_push.json"))
    assert (message.delivery_attempt, message.ordering_key) == (3, "130")


def test_the_emulators_unwrapped_push_is_fully_decoded() -> None:
    message = decode_push(*recorded("ride_unwrapped_emulator.json"))
    assert message.attributes == {"source": "replay", "driver": "Zoë"}
    assert message.message_id == "1"
    assert message.publish_time == "2026-11-28T11:11:55.595Z"
    assert message.ordering_key == "130"


def test_a_binary_cloud_event_that_is_the_ride_event_keeps_its_attributes() -> None:
    headers, body = recorded("ride_cloudevent_binary_own.json")
    message = decode_push(headers | {"authorization": "Bearer secret", "x-custom": "1"}, body)
    assert message.data == body
    assert message.attributes == {name: text for name, text in headers.items() if name.startswith("ce-")}


@pytest.mark.parametrize(
    "more",
    [
        {"message": envelope()["message"], "subscription": SUBSCRIPTION},
        {"message": "hello"},
        {"message": None, "subscription": 5, "deliveryAttempt": "x"},
        {"specversion": "1.0", "data": {"ride": {}}, "data_base64": "%"},
    ],
)
@pytest.mark.parametrize(
    "content_type",
    [
        *("application/json", "text/plain", "application/octet-stream"),
        *("application/cloudevents+json", "application/cloudevents-batch+json"),
    ],
)
def test_a_ride_event_may_have_fields_like_those_of_other_forms(
    more: dict[str, Any], content_type: str
) -> None:
    body = json.dumps(more | EVENT).encode()
    assert decode_push({"content-type": content_type}, body) == IncomingMessage(data=body)
    assert ride_document(json.loads(body)) == (more | EVENT, "#")


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999", b"9" * 400])
def test_an_event_with_a_number_outside_json_is_recognized(number: bytes) -> None:
    body = DATA.replace(b"3.66", number)
    assert decode_push({}, body).data == body
    wrapped = envelope(base64.b64encode(body).decode(), deliveryAttempt=3)
    assert decode_push({}, json.dumps(wrapped).encode()).data == body


@pytest.mark.parametrize(
    "data",
    [
        {"data": EVENT},
        {"data": json.dumps(EVENT)},
        {"data_base64": base64.b64encode(DATA).decode()},
        {"data_base64": base64.urlsafe_b64encode(DATA).decode().rstrip("=")},
    ],
)
@pytest.mark.parametrize("content_type", ["application/cloudevents+json; charset=utf-8", "application/json"])
def test_a_structured_cloud_event_holds_the_ride_event(data: dict[str, Any], content_type: str) -> None:
    body = json.dumps(CONTEXT | data).encode()
    assert decode_push({"content-type": content_type}, body) == IncomingMessage(data=body)
    assert ride_document(json.loads(body)) == (EVENT, f"#/{next(iter(data))}")


@pytest.mark.parametrize("data", [{"data": envelope()}, {"data_base64": json.dumps(envelope())}])
@pytest.mark.parametrize("context", [CONTEXT, {}])
def test_a_structured_cloud_event_of_any_type_may_hold_a_delivery(
    data: dict[str, Any], context: dict[str, str]
) -> None:
    if text := data.get("data_base64"):
        data = {"data_base64": base64.b64encode(text.encode()).decode()}
    message = decode_push(
        {"content-type": "application/cloudevents+json"}, json.dumps(context | data).encode()
    )
    assert (message.data, message.message_id, message.subscription) == (DATA, "7", SUBSCRIPTION)


@pytest.mark.parametrize(
    ("event", "pointer"),
    [
        ({"data_base64": "%"}, "#/data_base64"),
        ({"data_base64": "bm8="}, "#/data_base64"),
        ({"data": "no"}, "#/data"),
        ({"data": "\ud800"}, "#/data"),
    ],
)
def test_a_cloud_event_without_json_is_reported_with_a_pointer(event: dict[str, Any], pointer: str) -> None:
    body = json.dumps(CONTEXT | event).encode()
    assert decode_push({}, body).data == body
    with pytest.raises(UnreadableBody) as caught:
        ride_document(CONTEXT | event)
    assert caught.value.problems[0].pointer == pointer


@pytest.mark.parametrize("event", [{}, {"data": None}, {"data": 5}, {"data": {"message": 5, "ride": {}}}])
def test_a_cloud_event_without_a_delivery_is_kept_whole(event: dict[str, Any]) -> None:
    body = json.dumps(CONTEXT | event).encode()
    assert decode_push({"content-type": "application/cloudevents+json"}, body).data == body
    assert ride_document(CONTEXT | event) == (event.get("data"), "#/data")


def test_a_batch_of_cloud_events_is_refused() -> None:
    body = json.dumps([CONTEXT | {"data": EVENT}] * 2).encode()
    with pytest.raises(
        UnreadableBody, match="a batch of CloudEvents: send each event in a request of its own"
    ):
        decode_push({"content-type": "application/cloudevents-batch+json; charset=utf-8"}, body)


@pytest.mark.parametrize("message", [{}, {"data": None}, {"data": ""}, {"attributes": None, "data": ""}])
def test_a_message_may_have_no_data(message: dict[str, Any]) -> None:
    assert decode_push({}, json.dumps({"message": message}).encode()) == IncomingMessage()


def test_invalid_fields_do_not_affect_the_others() -> None:
    data = base64.b64encode(b"event").decode()
    body = {"message": {"data": data, "attributes": {"a": 1, "b": "2"}, "messageId": 7}, "subscription": [1]}
    assert decode_push({}, json.dumps(body).encode()) == IncomingMessage(data=b"event", attributes={"b": "2"})


STANDARD = base64.b64encode(b"\xfb\xff" * 50).decode()


@pytest.mark.parametrize(
    "text",
    [
        STANDARD,
        STANDARD.rstrip("="),
        STANDARD.replace("+", "-").replace("/", "_"),
        "\r\n".join(STANDARD[start : start + 76] for start in range(0, len(STANDARD), 76)) + "\n",
        f" {STANDARD}\t",
    ],
)
def test_data_may_be_in_any_form_of_base64(text: str) -> None:
    assert decode_base64(text) == b"\xfb\xff" * 50
    message = decode_push({}, json.dumps(envelope(text, deliveryAttempt=3)).encode())
    expected = (b"\xfb\xff" * 50, "7", SUBSCRIPTION, 3)
    assert (message.data, message.message_id, message.subscription, message.delivery_attempt) == expected


def test_a_byte_order_mark_is_ignored() -> None:
    mark = b"\xef\xbb\xbf"
    assert decode_push({}, mark + json.dumps(envelope()).encode()).data == DATA
    assert decode_push({}, mark + DATA).data == mark + DATA


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"message": 5}', "#/message"),
        (b'{"message": "hello", "subscription": "s"}', "#/message"),
        (b'{"message": {"data": "%%%"}}', "#/message/data"),
        (b'{"message": {"data": "YQ=YQ="}}', "#/message/data"),
        (b'{"message": {"data": "a"}}', "#/message/data"),
        (b'{"message": {"data": "\xc3\xbc"}}', "#/message/data"),
        (b'{"message": {"data": 5}}', "#/message/data"),
        (b'{"specversion": "1.0", "data": {"message": {"data": 5}}}', "#/data/message/data"),
        (b'{"specversion": "1.0", "data_base64": "eyJtZXNzYWdlIjogNX0="}', "#/data_base64/message"),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else value,
)
def test_a_damaged_delivery_is_reported_and_kept(body: bytes, pointer: str) -> None:
    with pytest.raises(UnreadableBody) as caught:
        decode_push({"content-type": "application/json"}, body)
    assert caught.value.problems[0].pointer == pointer
    assert whole_body({}, body).data == body


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"nope", b"[]", b"5", b"\xff\xfe", b"{}", b'{"message": ' * 100_000),
        *(b'{"ride": ' * 100_000, json.dumps(EVENT["ride"]).encode(), json.dumps([envelope()]).encode()),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_anything_else_is_taken_for_the_event_itself(body: bytes) -> None:
    assert decode_push({"content-type": "application/json"}, body) == IncomingMessage(data=body)


def test_all_recorded_events_are_present() -> None:
    assert len(list(Path(EVENTS).glob("ride_*.json"))) == 9
