"""Redrive: publishes dead letters back to their topics, as the events that they were."""

from collections.abc import Callable, Iterable, Sequence

from google.api_core.exceptions import GoogleAPIError

from jobs.events.dead_letters import DeadLetter
from jobs.events.leases import Leases
from jobs.events.pubsub_clients import subscriber_client
from jobs.events.redrive_stats import RedriveStats
from jobs.events.republisher import Republisher, describe_error
from jobs.events.subscribers import MAX_MESSAGES

QUIET_PULLS = 3
"""Empty pulls in a row that end a run: Pub/Sub may return an empty response although there are letters."""
BATCH_BYTES = 50_000_000
"""Target for the letters of one pull, estimated from the largest letter of the pull before."""
FIRST_PULL = 10
"""Letters of the first pull, before there is an estimate."""


class Redrive:
    """Reads a dead-letter subscription to its end and sends the events of the selected letters.

    A letter is acknowledged once the topic has confirmed its event; all others are released at the end.
    """

    def __init__(self, subscription: str, topic: str | None, reasons: Iterable[str], *, send: bool) -> None:
        """
        Args:
            subscription: `projects/P/subscriptions/S`.
            topic: receives all events; None sends each to the topic of the subscription that delivered it.
            reasons: selects letters; empty selects all.
            send: False only counts.
        """
        self.stats = RedriveStats(send)
        self._topic = topic
        self._reasons = frozenset(reasons)
        self._client = subscriber_client()
        self._leases = Leases(self._client, subscription)
        self._republisher = Republisher()
        self._topics: dict[str, tuple[str, str]] = {}

    def run(self, show: Callable[[], None], stopped: Sequence[int]) -> None:
        """Works until no more letters arrive, or `stopped` is not empty; calls `show` after each pull.

        Raises GoogleAPIError if the subscription cannot be read.
        """
        quiet = repeated = 0
        limit = FIRST_PULL
        # Should leases not hold, having pulled every letter a second time ends the run, too.
        while quiet < QUIET_PULLS and repeated <= self._leases.seen and not stopped:
            letters = self._leases.pull(limit)
            quiet = 0 if letters else quiet + 1
            new = [letter for letter in letters if self._leases.hold(letter)]
            repeated = 0 if new else repeated + len(letters)
            self._process(new)
            show()
            if letters:
                largest = max(len(letter.data) for letter in letters)
                limit = max(1, min(BATCH_BYTES // (largest + 1), MAX_MESSAGES))

    def close(self) -> None:
        """Releases all letters that are not acknowledged, for the next reader; see `Leases.release`."""
        self._leases.release()
        self._client.close()

    def topic_of(self, subscription: str) -> tuple[str, str]:
        """The subscription's topic, or an empty text and why it is not known; looked up once."""
        if subscription not in self._topics:
            topic = error = ""
            try:
                topic = self._client.get_subscription(subscription=subscription).topic
            except GoogleAPIError as failure:
                error = f"{describe_error(subscription, failure)}; give --to"
            if topic == "_deleted-topic_":
                topic, error = "", f"the topic of {subscription} was deleted; give --to"
            self._topics[subscription] = topic, error
        return self._topics[subscription]

    def _process(self, letters: Iterable[DeadLetter]) -> None:
        """Counts each letter, and sends the events of those that are eligible."""
        groups: dict[tuple[str, str], list[DeadLetter]] = {}
        for letter in letters:
            row = self.stats.count(letter.reason, letter.version, letter.published)
            if why := self._why_skipped(letter):
                self.stats.skipped[why] += 1
                continue
            topic, error = self._destination(letter)
            if error:
                self.stats.failed[error] += 1
                continue
            row.eligible += 1
            # Events of one publish call must have the same ordering key.
            groups.setdefault((topic, letter.ordering_key), []).append(letter)
        for (topic, _), group in groups.items():
            if self.stats.send:
                self._send(topic, group)
            else:
                self.stats.sent[topic] += len(group)

    def _send(self, topic: str, letters: Sequence[DeadLetter]) -> None:
        for part, error in self._republisher.publish(topic, letters):
            if error:
                self.stats.failed[error] += len(part)
            else:
                self.stats.sent[topic] += len(part)
                self._leases.acknowledge(part)

    def _why_skipped(self, letter: DeadLetter) -> str:
        if not letter.reason:
            return "not dead letters: no attribute gives a reason"
        if self._republisher.has_published(letter):
            return "sent by this run and dead-lettered again"
        if self._reasons and letter.reason not in self._reasons:
            return "not selected by --reason"
        return "truncated: only the beginning of the event was kept" if letter.truncated else ""

    def _destination(self, letter: DeadLetter) -> tuple[str, str]:
        """The topic to send to, or an empty text and why there is none."""
        if self._topic:
            return self._topic, ""
        if not letter.subscription:
            return "", (
                "no attribute names the subscription they came from, as after payload unwrapping without "
                "metadata; give --to"
            )
        return self.topic_of(letter.subscription)
