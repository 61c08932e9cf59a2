"""Leases on pulled dead letters: extended while in use, released at the end."""

import time
from collections.abc import Iterable, Sequence

from google.api_core.exceptions import DeadlineExceeded
from google.pubsub_v1 import SubscriberClient

from jobs.events.dead_letters import DeadLetter

LEASE_SECONDS = 600
"""The longest lease that Pub/Sub grants."""
PULL_SECONDS = 2.0
"""Time limit of one pull, which waits for a first message."""
ACK_IDS_PER_CALL = 1000
"""Keeps a request below Pub/Sub's limit of half a megabyte."""


class Leases:
    """Pulls from a dead-letter subscription and holds each letter until it is acknowledged or released."""

    def __init__(self, client: SubscriberClient, subscription: str) -> None:
        self._client = client
        self._subscription = subscription
        self._held: dict[str, str] = {}
        """Ack ids by message id."""
        self._acknowledged: set[str] = set()
        """Message ids."""
        self._renew_at = time.monotonic() + LEASE_SECONDS / 2

    @property
    def seen(self) -> int:
        """How many different letters have been pulled."""
        return len(self._held) + len(self._acknowledged)

    def pull(self, max_messages: int) -> list[DeadLetter]:
        """Pulls letters and extends their leases; renews the leases of all others when due."""
        if time.monotonic() > self._renew_at:
            self._renew_at = time.monotonic() + LEASE_SECONDS / 2
            self._modify(self._held.values(), LEASE_SECONDS)
        try:
            response = self._client.pull(
                subscription=self._subscription, max_messages=max_messages, timeout=PULL_SECONDS
            )
        except DeadlineExceeded:
            return []
        letters = [DeadLetter.from_received(received) for received in response.received_messages]
        self._modify([letter.ack_id for letter in letters], LEASE_SECONDS)
        return letters

    def hold(self, letter: DeadLetter) -> bool:
        """Holds a pulled letter; returns whether it is new.

        A letter is pulled again when its lease was lost, or after its acknowledgement was lost: then it is
        acknowledged again.
        """
        if letter.message_id in self._acknowledged:
            self.acknowledge([letter])
            return False
        new = letter.message_id not in self._held
        self._held[letter.message_id] = letter.ack_id
        return new

    def acknowledge(self, letters: Sequence[DeadLetter]) -> None:
        """Removes letters from the subscription."""
        self._acknowledged.update(letter.message_id for letter in letters)
        ack_ids = [letter.ack_id for letter in letters]
        self._client.acknowledge(subscription=self._subscription, ack_ids=ack_ids)
        for letter in letters:
            self._held.pop(letter.message_id, None)

    def release(self) -> None:
        """Makes all held letters available at once; after a GoogleAPIError, when their leases expire."""
        self._modify(self._held.values(), 0)

    def _modify(self, ack_ids: Iterable[str], seconds: int) -> None:
        remaining = list(ack_ids)
        while remaining:
            chunk, remaining = remaining[:ACK_IDS_PER_CALL], remaining[ACK_IDS_PER_CALL:]
            self._client.modify_ack_deadline(
                subscription=self._subscription, ack_ids=chunk, ack_deadline_seconds=seconds
            )
