"""python -m jobs redrive: dead letters go back to their topic, as the events that they were."""

import time
from collections.abc import Callable, Iterable, Sequence

from google.api_core.exceptions import (
    DeadlineExceeded,
    GoogleAPIError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from google.api_core.retry import Retry
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.types import PubsubMessage

from jobs.events.dead_letters import Letter
from jobs.events.pubsub_clients import subscriber_client
from jobs.events.redrive_stats import Tally
from jobs.events.subscribers import MOST_AT_ONCE

LEASE_SECONDS = 600
"""For letters in our hands; Pub/Sub gives no longer one."""
PULL_SECONDS = 2.0
"""For one pull, which waits for a first letter."""
QUIET_PULLS = 3
"""In a row mean that all are read: Pub/Sub may answer one with nothing although there are letters."""
PUBLISH_SECONDS = 30.0
"""For one publish call, with its tries; much less than a lease."""
CALL_BYTES = 9_500_000
"""Of one publish call; Pub/Sub takes 10 MB."""
BATCH_BYTES = 50_000_000
"""Of letters in memory, as far as those pulled before let us guess how large the next ones are."""
FIRST_PULL = 10
"""Letters of the first pull, of which nothing can be guessed."""
ACK_IDS = 1000
"""Of one call; Pub/Sub takes half a megabyte."""


class Redrive:
    """Reads a dead-letter subscription to its end, and sends what is to be sent.

    A letter is acknowledged when its event is confirmed by the topic; all others are released at the end.
    """

    def __init__(self, subscription: str, topic: str | None, reasons: Iterable[str], *, send: bool) -> None:
        """
        Args:
            topic: where all go; None sends each to the topic of the subscription that delivered it.
            reasons: which are selected; all if there are none.
            send: False only counts.
        """
        self.tally = Tally(send)
        self._subscription = subscription
        self._topic = topic
        self._reasons = frozenset(reasons)
        self._subscriber = subscriber_client()
        self._publisher = PublisherClient()
        self._held: dict[str, str] = {}
        """Ack ids by message id."""
        self._done: set[str] = set()
        """Message ids of the letters that were sent."""
        self._published: set[str | bytes] = set()
        """Message ids and identities of the events that we published."""
        self._found: dict[str, tuple[str, str]] = {}
        self._broken: dict[str, str] = {}
        """Topics that do not take anything, and why."""

    def run(self, show: Callable[[], None], stopped: Sequence[int]) -> None:
        """Works until nothing comes any more, or `stopped` is not empty.

        Raises:
            GoogleAPIError: the subscription cannot be read.
        """
        quiet = repeated = 0
        most = FIRST_PULL
        renew_at = time.monotonic() + LEASE_SECONDS / 2
        # Whoever sees each letter a second time has seen all of them, should leases not hold.
        while quiet < QUIET_PULLS and repeated <= len(self._held) + len(self._done) and not stopped:
            letters = self._pull(most)
            quiet = 0 if letters else quiet + 1
            new = [letter for letter in letters if self._is_new(letter)]
            repeated = 0 if new else repeated + len(letters)
            self._sort(new)
            show()
            if letters:
                largest = max(len(letter.data) for letter in letters)
                most = max(1, min(BATCH_BYTES // (largest + 1), MOST_AT_ONCE))
            if time.monotonic() > renew_at:
                renew_at = time.monotonic() + LEASE_SECONDS / 2
                self._lease(self._held.values(), LEASE_SECONDS)

    def close(self) -> None:
        """Releases what is not acknowledged, so that the next reader finds it at once.

        Raises:
            GoogleAPIError: it comes back when its lease ends.
        """
        self._lease(self._held.values(), 0)
        self._subscriber.close()

    def topic_of(self, subscription: str) -> tuple[str, str]:
        """Its topic, or else why that is not known; asked once."""
        if subscription not in self._found:
            topic = why = ""
            try:
                topic = self._subscriber.get_subscription(subscription=subscription).topic
            except GoogleAPIError as error:
                why = f"{sentence(subscription, error)}; give --to"
            if topic == "_deleted-topic_":
                topic, why = "", f"the topic of {subscription} was deleted; give --to"
            self._found[subscription] = topic, why
        return self._found[subscription]

    def _pull(self, most: int) -> list[Letter]:
        try:
            answer = self._subscriber.pull(
                subscription=self._subscription, max_messages=most, timeout=PULL_SECONDS
            )
        except DeadlineExceeded:
            return []
        letters = [Letter.read(received) for received in answer.received_messages]
        self._lease([letter.ack_id for letter in letters], LEASE_SECONDS)
        return letters

    def _lease(self, ack_ids: Iterable[str], seconds: int) -> None:
        rest = list(ack_ids)
        while rest:
            some, rest = rest[:ACK_IDS], rest[ACK_IDS:]
            self._subscriber.modify_ack_deadline(
                subscription=self._subscription, ack_ids=some, ack_deadline_seconds=seconds
            )

    def _is_new(self, letter: Letter) -> bool:
        """Takes hold of the letter; one that was sent before comes again if its acknowledgement was lost."""
        if letter.message_id in self._done:
            self._acknowledge([letter])
            return False
        known = letter.message_id in self._held
        self._held[letter.message_id] = letter.ack_id
        return not known

    def _sort(self, letters: Iterable[Letter]) -> None:
        """Counts each letter, and sends it if it is to be sent."""
        groups: dict[tuple[str, str], list[Letter]] = {}
        for letter in letters:
            row = self.tally.count(letter.reason, letter.version, letter.published)
            if why := self._why_left(letter):
                self.tally.left[why] += 1
                continue
            topic, why = self._destination(letter)
            if why:
                self.tally.failed[why] += 1
                continue
            row.sendable += 1
            # Events of one publish call must have the same ordering key.
            groups.setdefault((topic, letter.ordering_key), []).append(letter)
        for (topic, _), group in groups.items():
            if self.tally.send:
                self._publish(topic, group)
            else:
                self.tally.going[topic] += len(group)

    def _why_left(self, letter: Letter) -> str:
        if not letter.reason:
            return "no dead letters: no attribute says why they are here"
        if letter.is_of(self._published):
            return "sent by this run and dead-lettered again"
        if self._reasons and letter.reason not in self._reasons:
            return "left out by --reason"
        return "truncated: the whole event is not here" if letter.truncated else ""

    def _destination(self, letter: Letter) -> tuple[str, str]:
        """The topic, or else why there is none."""
        if self._topic:
            return self._topic, ""
        if not letter.subscription:
            return "", "nothing says which subscription they came from; give --to"
        return self.topic_of(letter.subscription)

    def _publish(self, topic: str, letters: Sequence[Letter]) -> None:
        """Publishes, waits for the confirmation, and only then acknowledges."""
        events = [letter.event() for letter in letters]
        if len(letters) > 1 and sum(PubsubMessage.pb(event).ByteSize() for event in events) > CALL_BYTES:
            self._publish_halves(topic, letters)
            return
        if topic in self._broken:
            self.tally.failed[self._broken[topic]] += len(letters)
            return
        try:
            answer = self._publisher.publish(
                topic=topic, messages=events, retry=Retry(timeout=PUBLISH_SECONDS), timeout=PUBLISH_SECONDS
            )
        except InvalidArgument as error:
            # One that the topic does not take must not fail its neighbours.
            if len(letters) > 1:
                self._publish_halves(topic, letters)
            else:
                self.tally.failed[f"{topic} refuses it: {error.message}"] += 1
        except GoogleAPIError as error:
            self._broken[topic] = sentence(topic, error)
            self.tally.failed[self._broken[topic]] += len(letters)
        else:
            self._published.update(answer.message_ids, (letter.identity() for letter in letters))
            self._done.update(letter.message_id for letter in letters)
            self.tally.going[topic] += len(letters)
            self._acknowledge(letters)

    def _publish_halves(self, topic: str, letters: Sequence[Letter]) -> None:
        middle = len(letters) // 2
        self._publish(topic, letters[:middle])
        self._publish(topic, letters[middle:])

    def _acknowledge(self, letters: Sequence[Letter]) -> None:
        ack_ids = [letter.ack_id for letter in letters]
        self._subscriber.acknowledge(subscription=self._subscription, ack_ids=ack_ids)
        for letter in letters:
            self._held.pop(letter.message_id, None)


def sentence(name: str, error: Exception) -> str:
    """What went wrong with a topic or a subscription, for a person."""
    if isinstance(error, NotFound):
        return f"there is no {name}"
    if isinstance(error, PermissionDenied):
        return f"{name} is not for us: {error.message}"
    return f"{name} cannot be used: {error}"
