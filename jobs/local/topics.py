"""The topics and subscriptions between which ride events become prediction events."""

import contextlib
from dataclasses import dataclass

from google.api_core.exceptions import GoogleAPIError, NotFound
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1.types import DeadLetterPolicy, PushConfig, Subscription

from jobs.events.pubsub_clients import publisher_client, subscriber_client
from jobs.events.smoke_test import SMOKE_PREFIX

ACK_SECONDS = 30
"""Longer than the function takes for one event (8 s) with room; also the push request's time-out."""
MOST_DELIVERIES = 100
"""After which Pub/Sub itself gives an event up. Few would flood the dead-letter topic in a short outage."""


@dataclass(frozen=True)
class Topics:
    """The names in one project of one emulator, and how to make and remove them."""

    emulator: str
    """`host:port`."""
    project: str

    @property
    def ride_events(self) -> str:
        """Topic where ride events go in."""
        return f"projects/{self.project}/topics/ride-events"

    @property
    def predictions(self) -> str:
        """Topic where prediction events come out."""
        return f"projects/{self.project}/topics/predictions"

    @property
    def dead_letters(self) -> str:
        """Topic of the events that cannot be predicted."""
        return f"projects/{self.project}/topics/ride-events-dead-letter"

    @property
    def ride_ended(self) -> str:
        """Topic of the ends of rides."""
        return f"projects/{self.project}/topics/ride-ended"

    @property
    def push(self) -> str:
        """Subscription that pushes ride events to the function."""
        return f"projects/{self.project}/subscriptions/ride-events-predict"

    @property
    def predictions_pull(self) -> str:
        """Subscription from which prediction events can be pulled."""
        return f"projects/{self.project}/subscriptions/predictions"

    @property
    def predictions_smoke(self) -> str:
        """Subscription for `python -m jobs smoke` alone, which acknowledges all that is in it."""
        return f"projects/{self.project}/subscriptions/predictions-smoke"

    @property
    def dead_letters_pull(self) -> str:
        """Subscription from which dead letters can be pulled."""
        return f"projects/{self.project}/subscriptions/ride-events-dead-letter"

    @property
    def predictions_collect(self) -> str:
        """Subscription for those who join predictions with the ends of rides, and take none from others."""
        return f"projects/{self.project}/subscriptions/predictions-collect"

    @property
    def ride_ended_collect(self) -> str:
        """Subscription from which the ends of rides can be pulled."""
        return f"projects/{self.project}/subscriptions/ride-ended-collect"

    @property
    def _topics(self) -> tuple[str, ...]:
        return self.ride_events, self.predictions, self.dead_letters, self.ride_ended

    @property
    def _pulled(self) -> dict[str, str]:
        """Subscription to pull from → its topic."""
        return {
            self.predictions_pull: self.predictions,
            self.predictions_collect: self.predictions,
            self.dead_letters_pull: self.dead_letters,
            self.ride_ended_collect: self.ride_ended,
        }

    def create(self) -> None:
        """Makes the topics and the subscriptions to pull from."""
        client = publisher_client(self.emulator)
        for topic in self._topics:
            client.create_topic(name=topic)
        client.stop()
        with subscriber_client(self.emulator) as subscriber:
            for name, topic in self._pulled.items():
                subscriber.create_subscription(name=name, topic=topic)

    def watch_smoke(self) -> None:
        """Makes the subscription of the smoke test; the emulator knows its filter and does not apply it."""
        with subscriber_client(self.emulator) as subscriber:
            subscriber.create_subscription(
                Subscription(
                    name=self.predictions_smoke,
                    topic=self.predictions,
                    filter=f'hasPrefix(attributes.ride_id, "{SMOKE_PREFIX}")',
                )
            )

    def push_to(self, url: str) -> None:
        """Makes the subscription that pushes ride events to the function at `url`.

        It has no retry policy: with one, the emulator does not deliver a failed event again.
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
                        dead_letter_topic=self.dead_letters,
                        max_delivery_attempts=MOST_DELIVERIES,
                    ),
                )
            )

    def delete(self) -> None:
        """Removes everything that is there, unless the emulator is gone itself."""
        publisher = publisher_client(self.emulator)
        with contextlib.suppress(GoogleAPIError), subscriber_client(self.emulator) as subscriber:
            for name in (self.push, self.predictions_smoke, *self._pulled):
                with contextlib.suppress(NotFound):
                    subscriber.delete_subscription(subscription=name, retry=None, timeout=2)
            for topic in self._topics:
                with contextlib.suppress(NotFound):
                    publisher.delete_topic(topic=topic, retry=None, timeout=2)
        publisher.stop()
