"""What a dead letter says of itself, and the event that it was before somebody gave it up."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple, Self

from google.pubsub_v1.types import PubsubMessage, ReceivedMessage

GIVEN_UP = "given_up"
"""Reason of the letters that Pub/Sub itself wrote, after it had delivered the event too often."""
_OURS = "dead_letter_"
_PUBSUBS = "CloudPubSubDeadLetterSource"
_ADDED = (_OURS, _PUBSUBS, "goog")
"""How attributes begin that the event did not have when it was published; nobody can publish `goog…`."""


class Letter(NamedTuple):
    """A dead letter as it was pulled."""

    message_id: str
    ack_id: str
    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str = ""
    published: float = 0.0
    """Seconds since 1970 when it became a dead letter."""

    @classmethod
    def read(cls, received: ReceivedMessage) -> Self:
        """The letter in what a pull gave."""
        message = received.message
        return cls(
            message.message_id,
            received.ack_id,
            message.data,
            dict(message.attributes),
            message.ordering_key,
            message.publish_time.timestamp(),
        )

    @property
    def reason(self) -> str:
        """Why it is here; empty if it is no dead letter at all."""
        by_pubsub = GIVEN_UP if f"{_PUBSUBS}Subscription" in self.attributes else ""
        return self.attributes.get(f"{_OURS}reason", by_pubsub)

    @property
    def version(self) -> str:
        """Of the model that was in service; empty if that is not known."""
        return self.attributes.get(f"{_OURS}model_version", "")

    @property
    def subscription(self) -> str:
        """The one that delivered the event, `projects/P/subscriptions/S`; empty if that is not known."""
        if ours := self.attributes.get(f"{_OURS}subscription"):
            return ours
        name = self.attributes.get(f"{_PUBSUBS}Subscription")
        project = self.attributes.get(f"{_PUBSUBS}SubscriptionProject")
        return f"projects/{project}/subscriptions/{name}" if name and project else ""

    @property
    def truncated(self) -> bool:
        """Whether only the event's beginning is here."""
        return f"{_OURS}full_size" in self.attributes

    def event(self) -> PubsubMessage:
        """What was published before it became a dead letter."""
        own = {name: text for name, text in self.attributes.items() if not name.startswith(_ADDED)}
        return PubsubMessage(data=self.data, attributes=own, ordering_key=self.ordering_key)

    def identity(self) -> bytes:
        """The same for two letters with the same event."""
        event = self.event()
        whole = repr((event.data, sorted(event.attributes.items()))).encode()
        return hashlib.sha256(whole).digest()

    def is_of(self, published: set[str | bytes]) -> bool:
        """Whether its event is among these message ids and identities.

        Ours name the event's message id, Pub/Sub's own do not. No clock is asked.
        """
        return (self.attributes.get(f"{_OURS}message_id") or self.identity()) in published
