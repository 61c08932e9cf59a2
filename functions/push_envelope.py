"""Pub/Sub messages in: the push envelope and Eventarc's CloudEvents, binary and structured.

The framework's own CloudEvent signature answers some bad events with an error before any of our code
runs, and Pub/Sub delivers those for ever. So the bytes are read here, and what cannot be read still
becomes a message that can be dead-lettered.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from functions.errors import UnreadableBody


class Message(msgspec.Struct, frozen=True):
    """A Pub/Sub message and how it came."""

    data: bytes = b""
    attributes: dict[str, str] = {}
    message_id: str = ""
    publish_time: str = ""
    subscription: str = ""
    delivery_attempt: int | None = None


class _Payload(msgspec.Struct, rename="camel"):
    """`message` in every form; a field beside the data is as lenient as JSON is: an odd one loses nothing."""

    data: bytes | None = None
    """From base64; a message may have attributes only: then its data is missing, null or empty."""
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

_PLACE = re.compile(r" - at `\$\.([\w.]+)`")
"""How msgspec tells where in a document a value is wrong: `$.message.data`."""


def read_message(headers: Mapping[str, str], body: bytes | bytearray) -> Message:
    """The message that a request delivers.

    Args:
        headers: by lower-case name.
        body: as received.

    Raises:
        UnreadableBody: the body is no delivery; `unread_message(body)` keeps it for the dead letter.
    """
    try:
        if headers.get("content-type", "").lower().startswith("application/cloudevents+json"):
            event = _read_cloud_event(body)
            if event.data_base64 is not None:
                envelope = _read_envelope(event.data_base64)
            elif event.data is not None:
                envelope = event.data
            else:
                raise UnreadableBody("is missing; it holds the Pub/Sub message", "#/data")
        else:
            # A binary CloudEvent has its context in headers and the same body as a push.
            envelope = _read_envelope(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        place = _PLACE.search(str(error))
        pointer = "#/" + place[1].replace(".", "/") if place else "#"
        raise UnreadableBody(f"is no Pub/Sub delivery: {_PLACE.sub('', str(error))}", pointer) from error
    payload = envelope.message
    attempt = envelope.delivery_attempt
    return Message(
        data=payload.data or b"",
        attributes=_attributes(payload.attributes),
        message_id=_text(payload.message_id),
        publish_time=_text(payload.publish_time),
        subscription=_text(envelope.subscription),
        delivery_attempt=attempt if type(attempt) is int else None,
    )


def unread_message(body: bytes | bytearray) -> Message:
    """A delivery that could not be read, as a message of its own whole body."""
    return Message(data=bytes(body))


def _attributes(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {name: text for name, text in value.items() if isinstance(text, str)}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
