"""The stream's way: a ride event in, its prediction event out, or the event to the dead-letter topic.

Returning means done, raising means deliver again.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from functions.batching import Batching
from functions.errors import InvalidRide, PublishFailed, TooLarge, Unavailable
from functions.json_decoding import read_document
from functions.model_manager import Predictor
from functions.publisher import Publisher
from functions.pubsub_message import MOST_ATTRIBUTES, OutMessage, fit_value, takes
from functions.push_envelope import Message, read_message, unread_message
from functions.rides import Prediction, RideEvent, parse_ride_event, readable_ride_id
from functions.telemetry import Trace, fields, logger, read_trace, use_trace

LARGEST_EVENT = 10_000_000
"""Bytes, as Pub/Sub's own limit: what comes larger came another way and could not go out again."""
LARGEST_DEAD_LETTER = 9_000_000
"""Bytes of an event that are kept; Pub/Sub takes 10 MB with the attributes."""

_LEVELS = {"predicted": logging.INFO, "dead_letter": logging.WARNING, "again": logging.ERROR}


class Stream:
    """Turns deliveries into predictions and dead letters."""

    def __init__(self, predictor: Predictor, predictions: Publisher, dead_letters: Publisher) -> None:
        self._predictor = predictor
        self._predictions = predictions
        self._dead_letters = dead_letters
        self._batching = Batching()

    async def handle(self, headers: Mapping[str, str], body: bytes | bytearray, deadline: float) -> None:
        """Handles one delivery; when this returns, its outcome is safe on a topic. Logs one line.

        Args:
            headers: by lower-case name.
            body: as received.
            deadline: by the event loop's clock; at it the event is given back.

        Raises:
            Unavailable: deliver it again.
        """
        began = time.perf_counter()
        line: dict[str, Any] = {"outcome": "again"}
        try:
            async with asyncio.timeout_at(deadline):
                await self._handle(headers, body, line)
        except TimeoutError:
            line["reason"] = "not done in time"
            raise PublishFailed(line["reason"]) from None
        except Unavailable as error:
            line["reason"] = str(error)
            raise
        finally:
            line["latency_ms"] = round((time.perf_counter() - began) * 1000, 2)
            logger.log(_LEVELS[line["outcome"]], "ride event", extra=fields(**line))

    async def _handle(
        self, headers: Mapping[str, str], body: bytes | bytearray, line: dict[str, Any]
    ) -> None:
        """Writes what it learns of the event into `line`."""
        trace = read_trace(headers)
        use_trace(trace)
        try:
            message = read_message(headers, body)
        except InvalidRide as error:
            await self._bury(unread_message(body), error, line)
            return
        try:
            line["message_id"] = fit_value(message.message_id)
            # The event's own trace says more than that of the request which delivers it.
            trace = read_trace(message.attributes) or trace
            use_trace(trace)
            document = document_of(message)
            line["ride_id"] = readable_ride_id(document)
            event = parse_ride_event(document)
            model = await self._predictor.model()
            line["model_version"] = model.version
            (prediction,) = await self._batching.predict(model, [event.ride])
        except InvalidRide as error:
            await self._bury(message, error, line)
        else:
            await self._predictions.publish(prediction_event(event, prediction, message.data, trace))
            line["outcome"] = "predicted"

    async def _bury(self, message: Message, error: InvalidRide, line: dict[str, Any]) -> None:
        # The version that was asked, or else the one in service; empty while there is none.
        version = line.setdefault("model_version", self._predictor.version)
        letter = dead_letter(message, error, version)
        await self._dead_letters.publish(letter)
        line |= {
            "outcome": "dead_letter",
            "reason": error.reason,
            "detail": letter.attributes["dead_letter_detail"],
        }


def document_of(message: Message) -> object:
    """The decoded JSON that a message carries.

    Raises:
        InvalidRide: it is too large, or no JSON.
    """
    if len(message.data) > LARGEST_EVENT:
        raise TooLarge(LARGEST_EVENT)
    return read_document(message.data)


def prediction_event(
    event: RideEvent, prediction: Prediction, data: bytes, trace: Trace | None
) -> OutMessage:
    """The course's prediction event: the same body and the same id for the same event and model version."""
    identity = hashlib.sha256(
        b"\0".join((prediction.model.encode(), prediction.version.encode(), data))
    ).hexdigest()[:32]
    attributes = {
        "ride_id": str(event.ride_id),
        "model": prediction.model,
        "version": prediction.version,
        "event_id": identity,
        "content_type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": identity,
        "ce-source": f"//ridecast/{prediction.model}/{prediction.version}",
        "ce-type": f"ridecast.{prediction.target}.predicted.v1",
    }
    if trace and trace.traceparent:
        attributes["traceparent"] = trace.traceparent
    return OutMessage(msgspec.json.encode(prediction.event(event.ride_id)), attributes)


def dead_letter(message: Message, error: InvalidRide, version: str) -> OutMessage:
    """The event as it came, with the reason why it cannot be predicted.

    An event too big to be published again is cut, and its SHA-256 says what it was.
    """
    story = {
        "dead_letter_reason": error.reason,
        "dead_letter_detail": str(error),
        "dead_letter_pointer": error.problems[0].pointer,
        "dead_letter_subscription": message.subscription,
        "dead_letter_message_id": message.message_id,
        "dead_letter_publish_time": message.publish_time,
        "dead_letter_model_version": version,
    }
    if message.delivery_attempt is not None:
        story["dead_letter_delivery_attempt"] = str(message.delivery_attempt)
    if len(message.data) > LARGEST_DEAD_LETTER:
        story["dead_letter_full_size"] = str(len(message.data))
        story["dead_letter_full_sha256"] = hashlib.sha256(message.data).hexdigest()
    # What came another way than from Pub/Sub may have attributes that it does not take.
    own = [
        (name, value)
        for name, value in message.attributes.items()
        if takes(name, value) and not name.startswith("dead_letter_")
    ]
    attributes = dict(own[: MOST_ATTRIBUTES - len(story)]) | {
        name: fit_value(text) for name, text in story.items() if text
    }
    return OutMessage(message.data[:LARGEST_DEAD_LETTER], attributes)
