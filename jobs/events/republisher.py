"""Publishes the events of dead letters again."""

from collections.abc import Iterator, Sequence

from google.api_core.exceptions import GoogleAPIError, InvalidArgument, NotFound, PermissionDenied
from google.api_core.retry import Retry
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.types import PubsubMessage

from jobs.events.dead_letters import DeadLetter

PUBLISH_SECONDS = 30.0
"""Time limit of one publish call, retries included; much less than a lease."""
MAX_CALL_BYTES = 9_500_000
"""Bytes per publish call; Pub/Sub's limit is 10 MB."""

Result = tuple[Sequence[DeadLetter], str]
"""Letters, and why their events could not be published; empty if they are confirmed."""


class Republisher:
    """Publishes events in calls that Pub/Sub accepts, and remembers them."""

    def __init__(self) -> None:
        self._client = PublisherClient()
        self._published: set[str | bytes] = set()
        """Message ids and fingerprints of the events."""
        self._unusable: dict[str, str] = {}
        """Topics that no event can be published to, and why."""

    def has_published(self, letter: DeadLetter) -> bool:
        """Whether the letter's event was published by this object, and dead-lettered again."""
        return letter.event_key() in self._published

    def publish(self, topic: str, letters: Sequence[DeadLetter]) -> Iterator[Result]:
        """Publishes events with one ordering key, in as many calls as needed; yields each call's result."""
        events = [letter.event() for letter in letters]
        if len(letters) > 1 and sum(PubsubMessage.pb(event).ByteSize() for event in events) > MAX_CALL_BYTES:
            yield from self._publish_halves(topic, letters)
            return
        if topic in self._unusable:
            yield letters, self._unusable[topic]
            return
        try:
            response = self._client.publish(
                topic=topic, messages=events, retry=Retry(timeout=PUBLISH_SECONDS), timeout=PUBLISH_SECONDS
            )
        except InvalidArgument as error:
            # One event that Pub/Sub rejects must not fail the others.
            if len(letters) > 1:
                yield from self._publish_halves(topic, letters)
            else:
                yield letters, f"rejected by {topic}: {error.message}"
        except GoogleAPIError as error:
            self._unusable[topic] = describe_error(topic, error)
            yield letters, self._unusable[topic]
        else:
            self._published.update(response.message_ids, (letter.fingerprint() for letter in letters))
            yield letters, ""

    def _publish_halves(self, topic: str, letters: Sequence[DeadLetter]) -> Iterator[Result]:
        middle = len(letters) // 2
        yield from self.publish(topic, letters[:middle])
        yield from self.publish(topic, letters[middle:])


def describe_error(name: str, error: Exception) -> str:
    """Says why the topic or subscription `name` cannot be used."""
    if isinstance(error, NotFound):
        return f"there is no {name}"
    if isinstance(error, PermissionDenied):
        return f"permission denied on {name}: {error.message}"
    return f"{name} cannot be used: {error}"
