"""Pub/Sub for a pipeline of this machine: an event is acknowledged when its answer is confirmed."""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from functools import cache

import apache_beam as beam
from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError
from google.pubsub_v1.types import ReceivedMessage

from functions.batching import MOST_RIDES
from functions.errors import PublishFailed
from functions.publisher import Publisher, connect
from functions.push_envelope import Message
from functions.telemetry import fields, logger
from jobs.beam.handler import Answer, Pulled, Route
from jobs.beam.model_manager import in_loop
from jobs.beam.watchdog import held
from jobs.events.pubsub_clients import subscriber_client
from jobs.events.subscribers import AGAIN_SECONDS, PULL_SECONDS

_subscriber = cache(subscriber_client)


class Pull(beam.DoFn):  # type: ignore[misc]
    """A subscription in, batches of its messages out, until the leash is let go.

    For a runner that hands on what is yielded at once: in steps it would hold messages beyond their deadline.
    """

    def __init__(self, leash: str) -> None:
        self._leash = leash

    def process(self, element: str) -> Iterator[list[Pulled]]:
        while held(self._leash):
            if received := _pull(element):
                yield [Pulled(_message(each, element), each.ack_id) for each in received]


def _pull(subscription: str) -> Sequence[ReceivedMessage]:
    try:
        answer = _subscriber().pull(
            subscription=subscription, max_messages=MOST_RIDES, retry=None, timeout=PULL_SECONDS
        )
    except DeadlineExceeded:
        return []  # nothing came
    except GoogleAPIError as error:
        logger.error("not pulled", extra=fields(reason=str(error)))
        time.sleep(AGAIN_SECONDS)
        return []
    received: Sequence[ReceivedMessage] = answer.received_messages
    return received


def _message(received: ReceivedMessage, subscription: str) -> Message:
    message = received.message
    return Message(
        data=message.data,
        attributes=dict(message.attributes),
        message_id=message.message_id,
        publish_time=message.publish_time.rfc3339(),
        subscription=subscription,
        delivery_attempt=received.delivery_attempt or None,
    )


class PublishThenAcknowledge(beam.DoFn):  # type: ignore[misc]
    """Answers in; the events whose answers their topics have confirmed are acknowledged.

    Any other event is left alone: Pub/Sub delivers it again when its acknowledgement deadline has passed.
    """

    def __init__(self, route: Route) -> None:
        self._route = route

    def process(self, element: list[Answer]) -> None:
        failures = in_loop(_publish(element))
        safe = [answer.ack_id for answer, failure in zip(element, failures, strict=True) if failure is None]
        if failed := [failure for failure in failures if failure]:
            logger.error("not published", extra=fields(events=len(failed), reason=str(failed[0])))
        try:
            if safe:
                _subscriber().acknowledge(subscription=self._route.events, ack_ids=safe)
        except GoogleAPIError as error:  # they come again, and their answers have the same bytes
            logger.error("not acknowledged", extra=fields(events=len(safe), reason=str(error)))


async def _publish(answers: Sequence[Answer]) -> list[PublishFailed | None]:
    """For each answer why it is not known to be safe, if so."""

    async def publish(answer: Answer) -> PublishFailed | None:
        try:
            await _publisher(answer.topic).publish(answer.message)
        except PublishFailed as error:
            return error
        return None

    return await asyncio.gather(*map(publish, answers))


@cache
def _publisher(topic: str) -> Publisher:
    return connect(topic, os.environ.get("PUBSUB_EMULATOR_HOST", ""))
