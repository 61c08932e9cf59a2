"""Pub/Sub for a pipeline on this machine: acknowledges an event once its result is confirmed."""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from functools import cache

import apache_beam as beam
from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError

from functions.batching import MAX_BATCH_RIDES
from functions.errors import PublishFailed
from functions.publisher import MessagePublisher, create_publisher
from functions.telemetry import fields, logger
from jobs.beam.handler import ReceivedEvent, RoutedMessage, received_event
from jobs.beam.watchdog import is_held
from jobs.beam.worker_model import run_in_event_loop
from jobs.events.pubsub_clients import subscriber_client
from jobs.events.subscribers import PULL_SECONDS, RETRY_SECONDS

_subscriber = cache(subscriber_client)


class Pull(beam.DoFn):  # type: ignore[misc]
    """Pulls from a subscription and yields batches of its messages, until the watchdog's lock is released.

    For runners that pass on each yielded batch at once: one that collects them would hold messages beyond
    their acknowledgement deadline.
    """

    def __init__(self, lock_path: str) -> None:
        self._lock_path = lock_path

    def process(self, element: str) -> Iterator[list[ReceivedEvent]]:
        while is_held(self._lock_path):
            try:
                response = _subscriber().pull(
                    subscription=element, max_messages=MAX_BATCH_RIDES, retry=None, timeout=PULL_SECONDS
                )
            except DeadlineExceeded:
                continue  # no message arrived
            except GoogleAPIError as error:
                logger.error("not pulled", extra=fields(reason=str(error)))
                time.sleep(RETRY_SECONDS)
                continue
            if batch := [
                received_event(each.message, element, each.ack_id, each.delivery_attempt or None)
                for each in response.received_messages
            ]:
                yield batch


class PublishAndAcknowledge(beam.DoFn):  # type: ignore[misc]
    """Publishes messages, then acknowledges the events whose messages are confirmed.

    Pub/Sub delivers the other events again when their acknowledgement deadline has passed.
    """

    def __init__(self, subscription: str) -> None:
        self._subscription = subscription

    def process(self, element: list[RoutedMessage]) -> None:
        failures = run_in_event_loop(_publish(element))
        confirmed = [each.ack_id for each, failure in zip(element, failures, strict=True) if not failure]
        if failed := [failure for failure in failures if failure]:
            logger.error("not published", extra=fields(events=len(failed), reason=str(failed[0])))
        try:
            if confirmed:
                _subscriber().acknowledge(subscription=self._subscription, ack_ids=confirmed)
        except GoogleAPIError as error:  # they are delivered again, and give the same bytes
            logger.error("not acknowledged", extra=fields(events=len(confirmed), reason=str(error)))


async def _publish(messages: Sequence[RoutedMessage]) -> list[PublishFailed | None]:
    """Publishes messages; returns for each why it is not confirmed, or None."""

    async def publish(message: RoutedMessage) -> PublishFailed | None:
        try:
            await _publisher(message.topic).publish(message.message)
        except PublishFailed as error:
            return error
        return None

    return await asyncio.gather(*map(publish, messages))


@cache
def _publisher(topic: str) -> MessagePublisher:
    return create_publisher(topic, os.environ.get("PUBSUB_EMULATOR_HOST", ""))
