"""The stream's way: a ride event in, its prediction event out, or the event to the dead-letter topic.

Returning means done, raising means deliver again.
"""

import asyncio
import hashlib
import time
from collections.abc import Mapping

import msgspec

from functions.errors import InvalidRide, PublishFailed, UnreadableBody
from functions.events import Message, read_message, unread_message
from functions.predictor import Predictor
from functions.publisher import MOST_ATTRIBUTES, OutMessage, Publisher, fit_value
from functions.rides import Prediction, RideEvent, parse_ride_event
from functions.telemetry import Trace, fields, logger, read_trace, use_trace

HANDLING_SECONDS = 7.5
"""For one event, all in all: an instance that is told to end has 10 s."""
LARGEST_DEAD_LETTER = 9_000_000
"""Bytes of an event that are kept; Pub/Sub takes 10 MB with the attributes."""

_decode = msgspec.json.Decoder().decode


class Stream:
    """Turns deliveries into predictions and dead letters."""

    def __init__(self, predictor: Predictor, predictions: Publisher, dead_letters: Publisher) -> None:
        self._predictor = predictor
        self._predictions = predictions
        self._dead_letters = dead_letters

    async def handle(self, headers: Mapping[str, str], body: bytes) -> None:
        """Handles one delivery; when this returns, its outcome is safe on a topic.

        Args:
            headers: by lower-case name.
            body: as received.

        Raises:
            Unavailable: deliver it again.
        """
        try:
            async with asyncio.timeout(HANDLING_SECONDS):
                await self._handle(headers, body)
        except TimeoutError:
            raise PublishFailed(f"not done within {HANDLING_SECONDS:g} s") from None

    async def _handle(self, headers: Mapping[str, str], body: bytes) -> None:
        began = time.perf_counter()
        message = unread_message(body)
        trace = read_trace(headers)
        use_trace(trace)
        try:
            message = read_message(headers, body)
            # The event's own trace says more than that of the request which delivers it.
            trace = read_trace(message.attributes) or trace
            use_trace(trace)
            event = parse_ride_event(_read_document(message.data))
        except InvalidRide as error:
            letter = dead_letter(message, error, self._predictor.version)
            await self._dead_letters.publish(letter)
            logger.warning(
                "dead letter",
                extra=fields(
                    outcome="dead_letter",
                    reason=error.reason,
                    detail=letter.attributes["dead_letter_detail"],
                    message_id=message.message_id,
                    latency_ms=_milliseconds_since(began),
                ),
            )
            return
        model = await self._predictor.model()
        (prediction,) = model.predict_rides([event.ride])
        await self._predictions.publish(prediction_event(event, prediction, message.data, trace))
        logger.info(
            "prediction",
            extra=fields(
                outcome="predicted",
                ride_id=event.ride_id,
                model_version=prediction.version,
                latency_ms=_milliseconds_since(began),
            ),
        )


def _read_document(data: bytes) -> object:
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableBody(f"is no JSON: {error}") from error


def prediction_event(
    event: RideEvent, prediction: Prediction, data: bytes, trace: Trace | None
) -> OutMessage:
    """The course's prediction event, byte for byte the same for the same event and model version."""
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
    # Pub/Sub itself adds attributes that begin with "goog", and takes none from publishers.
    own = [item for item in message.attributes.items() if not item[0].startswith(("goog", "dead_letter_"))]
    attributes = dict(own[: MOST_ATTRIBUTES - len(story)]) | {
        name: fit_value(text) for name, text in story.items() if text
    }
    return OutMessage(message.data[:LARGEST_DEAD_LETTER], attributes)


def _milliseconds_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 2)
