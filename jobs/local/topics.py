"""The Pub/Sub topics and subscriptions that ride events and prediction events pass through."""

import contextlib
from dataclasses import dataclass

from google.api_core.exceptions import GoogleAPIError, NotFound
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1.types import DeadLetterPolicy, PushConfig, Subscription

from jobs.events.pubsub_clients import publisher_client, subscriber_client
from jobs.events.smoke_test import SMOKE_PREFIX

ACK_SECONDS = 30
"""Longer than the function takes for one event (8 s), with room; also the push request's timeout."""
MAX_DELIVERY_ATTEMPTS = 100
"""After these, Pub/Sub itself dead-letters an event. A low number would do so in a short outage already."""


class _ResourceName:
    """A full resource name: `projects/PROJECT/COLLECTION/NAME`."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __get__(self, topics: "Topics", _owner: type) -> str:
        return f"projects/{topics.project}/{self._path}"


@dataclass(frozen=True)
class Topics:
    """The topics and subscriptions of one project; creates and deletes them in an emulator."""

    emulator: str
    """The emulator's `host:port`."""
    project: str

    ride_events = _ResourceName("topics/ride-events")
    predictions = _ResourceName("topics/predictions")
    dead_letters = _ResourceName("topics/ride-events-dead-letter")
    """Events that cannot be predicted."""
    ride_ended = _ResourceName("topics/ride-ended")

    push = _ResourceName("subscriptions/ride-events-predict")
    """Pushes ride events to the function."""
    predictions_pull = _ResourceName("subscriptions/predictions")
    predictions_smoke = _ResourceName("subscriptions/predictions-smoke")
    """For `python -m jobs smoke` only, which acknowledges every message in it."""
    predictions_collect = _ResourceName("subscriptions/predictions-collect")
    """For `python -m jobs collect`, which must not take messages from other readers."""
    dead_letters_pull = _ResourceName("subscriptions/ride-events-dead-letter")
    ride_ended_collect = _ResourceName("subscriptions/ride-ended-collect")

    @property
    def _topics(self) -> tuple[str, ...]:
        return self.ride_events, self.predictions, self.dead_letters, self.ride_ended

    @property
    def _pull_subscriptions(self) -> dict[str, str]:
        """Subscription → its topic."""
        return {
            self.predictions_pull: self.predictions,
            self.predictions_collect: self.predictions,
            self.dead_letters_pull: self.dead_letters,
            self.ride_ended_collect: self.ride_ended,
        }

    def create(self) -> None:
        """Creates the topics and the pull subscriptions."""
        client = publisher_client(self.emulator)
        for topic in self._topics:
            client.create_topic(name=topic)
        client.stop()
        with subscriber_client(self.emulator) as subscriber:
            for name, topic in self._pull_subscriptions.items():
                subscriber.create_subscription(name=name, topic=topic)

    def create_smoke_subscription(self) -> None:
        """Creates the smoke test's subscription; the emulator accepts its filter, but does not apply it."""
        with subscriber_client(self.emulator) as subscriber:
            subscriber.create_subscription(
                Subscription(
                    name=self.predictions_smoke,
                    topic=self.predictions,
                    filter=f'hasPrefix(attributes.ride_id, "{SMOKE_PREFIX}")',
                )
            )

    def push_to(self, url: str) -> None:
        """Creates the subscription that pushes ride events to the function at `url`.

        It has no retry policy: with one, the emulator does not redeliver a failed event.
        """
        with subscriber_client(self.emulator) as subscriber:
            subscriber.create_subscription(
                Subscription(
                    name=self.push,
                    topic=self.ride_events,
                    push_config=PushConfig(push_endpoint=url),
                    ack_deadline_seconds=ACK_SECONDS,
                    message_retention_duration=Duration(seconds=3600),
                    dead_letter_policy=DeadLetterPolicy(
                        dead_letter_topic=self.dead_letters, max_delivery_attempts=MAX_DELIVERY_ATTEMPTS
                    ),
                )
            )

    def delete(self) -> None:
        """Deletes whatever exists of them, if the emulator still runs."""
        publisher = publisher_client(self.emulator)
        with contextlib.suppress(GoogleAPIError), subscriber_client(self.emulator) as subscriber:
            for name in (self.push, self.predictions_smoke, *self._pull_subscriptions):
                with contextlib.suppress(NotFound):
                    subscriber.delete_subscription(subscription=name, retry=None, timeout=2)
            for topic in self._topics:
                with contextlib.suppress(NotFound):
                    publisher.delete_topic(topic=topic, retry=None, timeout=2)
        publisher.stop()
