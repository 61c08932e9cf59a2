"""Dead letters: why an event was dead-lettered, and the event as it was originally published."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple, Self

from google.pubsub_v1 import types
from google.pubsub_v1.types import PubsubMessage

MAX_DELIVERIES_EXCEEDED = "given_up"
"""The reason of dead letters written by Pub/Sub itself, after the maximum number of delivery attempts."""
_FUNCTION_PREFIX = "dead_letter_"
_PUBSUB_PREFIX = "CloudPubSubDeadLetterSource"
_ADDED_PREFIXES = (_FUNCTION_PREFIX, _PUBSUB_PREFIX, "goog")
"""Prefixes of attributes added by dead-lettering; Pub/Sub lets no publisher set `goog…`."""


class DeadLetter(NamedTuple):
    """A dead letter as pulled from its subscription."""

    message_id: str
    ack_id: str
    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str = ""
    """The event's."""
    published: float = 0.0
    """Unix time in seconds when it was dead-lettered."""

    @classmethod
    def from_received(cls, received: types.ReceivedMessage) -> Self:
        """Converts a message of a pull response."""
        message, attributes = received.message, dict(received.message.attributes)
        # Pub/Sub itself keeps the key; the function publishes without one.
        ordering_key = message.ordering_key or attributes.get(f"{_FUNCTION_PREFIX}ordering_key", "")
        published = message.publish_time.timestamp()
        return cls(message.message_id, received.ack_id, message.data, attributes, ordering_key, published)

    @property
    def reason(self) -> str:
        """Why the event was dead-lettered; empty if this is not a dead letter."""
        by_pubsub = MAX_DELIVERIES_EXCEEDED if f"{_PUBSUB_PREFIX}Subscription" in self.attributes else ""
        return self.attributes.get(f"{_FUNCTION_PREFIX}reason", by_pubsub)

    @property
    def version(self) -> str:
        """The model version that was in service; empty if unknown."""
        return self.attributes.get(f"{_FUNCTION_PREFIX}model_version", "")

    @property
    def subscription(self) -> str:
        """The subscription that delivered the event, `projects/P/subscriptions/S`; empty if unknown."""
        if by_function := self.attributes.get(f"{_FUNCTION_PREFIX}subscription"):
            return by_function
        name = self.attributes.get(f"{_PUBSUB_PREFIX}Subscription")
        project = self.attributes.get(f"{_PUBSUB_PREFIX}SubscriptionProject")
        return f"projects/{project}/subscriptions/{name}" if name and project else ""

    @property
    def truncated(self) -> bool:
        """Whether `data` is only the beginning of the event."""
        return f"{_FUNCTION_PREFIX}full_size" in self.attributes

    def event(self) -> PubsubMessage:
        """The message as published before it was dead-lettered."""
        own = {name: text for name, text in self.attributes.items() if not name.startswith(_ADDED_PREFIXES)}
        return PubsubMessage(data=self.data, attributes=own, ordering_key=self.ordering_key)

    def fingerprint(self) -> bytes:
        """SHA-256 of the event's data and attributes; equal for dead letters of equal events."""
        event = self.event()
        return hashlib.sha256(repr((event.data, sorted(event.attributes.items()))).encode()).digest()

    def event_key(self) -> str | bytes:
        """The event's message id, or its fingerprint where Pub/Sub itself, which gives no id, wrote this."""
        return self.attributes.get(f"{_FUNCTION_PREFIX}message_id") or self.fingerprint()
