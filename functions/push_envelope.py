"""Reads the request that delivers an event, in whichever form its sender writes it.

The keys at the top of the JSON body decide, in this order:

    ride         the ride event itself: a push subscription with payload unwrapping, a CloudEvent in binary
                 mode, or a request by hand. It may have any other fields, those below too.
    specversion  a CloudEvent in structured mode. If its data is a Pub/Sub delivery, as from Eventarc, that is
                 read. Otherwise the whole CloudEvent is the event, and `ride_document` finds the ride in it.
    message      a Pub/Sub delivery, {"message": {"data": BASE64, …}, "subscription": …}: a push subscription,
                 or Eventarc in binary mode. Pub/Sub never writes `ride` or `specversion` beside it.
    none         if the content type is application/cloudevents+json, a CloudEvent all the same; if the body
                 is an array and has the content type of a batch of CloudEvents, refused, because a request
                 delivers one event; otherwise taken for the event itself, which validation then rejects.

The framework's own CloudEvent signature answers some malformed events with an error before any of our code
runs, and Pub/Sub would redeliver those forever. Here even an undecodable delivery becomes a dead letter.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from functions.errors import UnreadableBody
from functions.json_decoding import decode_json
from functions.push_headers import read_headers


class IncomingMessage(msgspec.Struct, frozen=True):
    """A Pub/Sub message with the details of its delivery."""

    data: bytes = b""
    attributes: dict[str, str] = {}
    message_id: str = ""
    publish_time: str = ""
    subscription: str = ""
    delivery_attempt: int | None = None
    ordering_key: str = ""


class _Payload(msgspec.Struct, rename="camel"):
    """`message` in all forms; fields other than `data` may have any type, so that none costs the message."""

    data: bytes | None = None
    """Decoded from base64; missing, null or empty in a message that has only attributes."""
    attributes: Any = None
    message_id: Any = None
    publish_time: Any = None
    ordering_key: Any = None


class _Delivery(msgspec.Struct):
    """The keys that tell a body's form; it may have any others."""

    ride: Any = UNSET
    specversion: Any = UNSET
    data: Any = None
    """A CloudEvent's; CloudEvents JSON format 1.0.2 §3.1."""
    data_base64: Any = None
    message: _Payload | UnsetType = UNSET
    subscription: Any = None
    delivery_attempt: Any = msgspec.field(default=None, name="deliveryAttempt")


_decode_strictly = msgspec.json.Decoder(_Delivery).decode

_ERROR_PATH = re.compile(r" - at `\$\.([\w.]+)`")
"""How msgspec's errors locate a wrong value: `$.message.data`."""
_URL_SAFE_DIGITS = str.maketrans("-_", "+/")


def decode_push(headers: Mapping[str, str], body: bytes | bytearray) -> IncomingMessage:
    """The message that a request delivers; the names in `headers` are lower-case.

    Raises UnreadableBody if the body is a damaged delivery; `whole_body` keeps it for the dead letter.
    """
    delivery = _read(body)
    if delivery and _is_cloud_event(delivery, headers):
        delivery = _delivery_in(delivery)
    if delivery and delivery.message is not UNSET:
        return _wrapped(delivery, delivery.message)
    batch = headers.get("content-type", "").lower().startswith("application/cloudevents-batch")
    if batch and body.lstrip().startswith(b"["):
        raise UnreadableBody("is a batch of CloudEvents: send each event in a request of its own")
    return whole_body(headers, body)


def whole_body(headers: Mapping[str, str], body: bytes | bytearray) -> IncomingMessage:
    """A message whose data is the whole body, with the metadata in the headers."""
    metadata = read_headers(headers)
    return IncomingMessage(
        data=bytes(body),
        attributes=metadata.attributes,
        message_id=metadata.message_id,
        publish_time=metadata.publish_time,
        subscription=metadata.subscription,
        ordering_key=metadata.ordering_key,
    )


def ride_document(document: object) -> tuple[object, str]:
    """The ride event in a message's decoded data, and its JSON pointer there.

    It is the document itself, except in a structured CloudEvent, which holds it in `data` (an object, or its
    JSON as text) or in `data_base64`. Raises UnreadableBody if that cannot be decoded.
    """
    if not isinstance(document, dict) or "ride" in document or "specversion" not in document:
        return document, "#"
    name = "data" if document.get("data_base64") is None else "data_base64"
    content, pointer = document.get(name), f"#/{name}"
    if not isinstance(content, str):
        return content, pointer
    try:
        decoded = decode_base64(content) if name == "data_base64" else content.encode()
    except ValueError as error:
        raise UnreadableBody(f"cannot be decoded: {error}", pointer) from error
    return decode_json(decoded, pointer), pointer


def decode_base64(text: str) -> bytes:
    """Base64 in the standard or the URL-safe alphabet, in one line or several, padded or not.

    Raises ValueError if it is neither.
    """
    digits = "".join(text.split()).translate(_URL_SAFE_DIGITS).rstrip("=")
    return b64decode(digits + "=" * (-len(digits) % 4), validate=True)


def _read(content: bytes | bytearray, pointer: str = "#") -> _Delivery | None:
    """The delivery in a JSON document, or None if that can only be an event.

    Raises UnreadableBody if it is a damaged delivery; `pointer` is the document's in the body.
    """
    try:
        delivery = _decode_strictly(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        try:
            document = decode_json(content)
        except UnreadableBody:
            return None
        return _convert(document, pointer)
    return delivery if delivery.ride is UNSET else None


def _convert(document: object, pointer: str) -> _Delivery | None:
    """Like `_read`, from a decoded document and with any form of base64."""
    if not isinstance(document, dict) or "ride" in document:
        return None
    message = document.get("message")
    try:
        if isinstance(message, dict) and isinstance(message.get("data"), str):
            document = document | {"message": message | {"data": decode_base64(message["data"])}}
        return msgspec.convert(document, _Delivery)
    except (msgspec.ValidationError, RecursionError) as error:
        path = _ERROR_PATH.search(str(error))
        where = f"{pointer}/{path[1].replace('.', '/')}" if path else pointer
        detail = f"is neither a ride event nor a Pub/Sub delivery: {_ERROR_PATH.sub('', str(error))}"
        raise UnreadableBody(detail, where) from error
    except ValueError as error:
        raise UnreadableBody(f"is not valid base64: {error}", f"{pointer}/message/data") from error


def _is_cloud_event(delivery: _Delivery, headers: Mapping[str, str]) -> bool:
    if delivery.specversion is not UNSET:
        return True
    content_type = "" if delivery.message is not UNSET else headers.get("content-type", "")
    return content_type.lower().startswith("application/cloudevents+json")


def _delivery_in(event: _Delivery) -> _Delivery | None:
    """The Pub/Sub delivery in a CloudEvent's data, or None if there is none."""
    if not isinstance(event.data_base64, str):
        return _convert(event.data, "#/data")
    try:
        return _read(decode_base64(event.data_base64), "#/data_base64")
    except ValueError:
        return None


def _wrapped(delivery: _Delivery, payload: _Payload) -> IncomingMessage:
    attempt = delivery.delivery_attempt
    return IncomingMessage(
        data=payload.data or b"",
        attributes=_attributes(payload.attributes),
        message_id=_text(payload.message_id),
        publish_time=_text(payload.publish_time),
        subscription=_text(delivery.subscription),
        delivery_attempt=attempt if type(attempt) is int else None,
        ordering_key=_text(payload.ordering_key),
    )


def _attributes(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {name: text for name, text in value.items() if isinstance(text, str)}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
