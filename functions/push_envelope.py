"""Decodes Pub/Sub deliveries: the push envelope and Eventarc's CloudEvents, binary and structured.

The framework's own CloudEvent signature answers some malformed events with an error before any of our code
runs, and Pub/Sub would redeliver those forever. Here even an undecodable delivery becomes a dead letter.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from functions.errors import UnreadableBody


class IncomingMessage(msgspec.Struct, frozen=True):
    """A Pub/Sub message with the details of its delivery."""

    data: bytes = b""
    attributes: dict[str, str] = {}
    message_id: str = ""
    publish_time: str = ""
    subscription: str = ""
    delivery_attempt: int | None = None


class _Payload(msgspec.Struct, rename="camel"):
    """`message` in all forms; fields other than `data` may have any type, so that none costs the message."""

    data: bytes | None = None
    """Decoded from base64; missing, null or empty in a message that has only attributes."""
    attributes: Any = None
    message_id: Any = None
    publish_time: Any = None


class _Envelope(msgspec.Struct, rename="camel"):
    message: _Payload
    subscription: Any = None
    delivery_attempt: Any = None


class _CloudEvent(msgspec.Struct):
    """CloudEvents JSON format 1.0.2 §3.1."""

    data: _Envelope | None = None
    data_base64: bytes | None = None


_read_envelope = msgspec.json.Decoder(_Envelope).decode
_read_cloud_event = msgspec.json.Decoder(_CloudEvent).decode

_ERROR_PATH = re.compile(r" - at `\$\.([\w.]+)`")
"""How msgspec's errors locate a wrong value: `$.message.data`."""


def decode_push(headers: Mapping[str, str], body: bytes | bytearray) -> IncomingMessage:
    """The message that a request delivers; the names in `headers` are lower-case.

    Raises UnreadableBody if the body is not a delivery; `undecodable_push` keeps it for the dead letter.
    """
    try:
        if headers.get("content-type", "").lower().startswith("application/cloudevents+json"):
            event = _read_cloud_event(body)
            if event.data_base64 is not None:
                envelope = _read_envelope(event.data_base64)
            elif event.data is not None:
                envelope = event.data
            else:
                raise UnreadableBody("is missing; it must hold the Pub/Sub message", "#/data")
        else:
            # A binary CloudEvent has its context in headers and the same body as a push.
            envelope = _read_envelope(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        path = _ERROR_PATH.search(str(error))
        pointer = "#/" + path[1].replace(".", "/") if path else "#"
        detail = f"is not a valid Pub/Sub delivery: {_ERROR_PATH.sub('', str(error))}"
        raise UnreadableBody(detail, pointer) from error
    payload = envelope.message
    attempt = envelope.delivery_attempt
    return IncomingMessage(
        data=payload.data or b"",
        attributes=_attributes(payload.attributes),
        message_id=_text(payload.message_id),
        publish_time=_text(payload.publish_time),
        subscription=_text(envelope.subscription),
        delivery_attempt=attempt if type(attempt) is int else None,
    )


def undecodable_push(body: bytes | bytearray) -> IncomingMessage:
    """An undecodable delivery, as a message whose data is the whole body."""
    return IncomingMessage(data=bytes(body))


def _attributes(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {name: text for name, text in value.items() if isinstance(text, str)}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
