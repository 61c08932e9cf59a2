"""Turns each delivered ride event into a prediction event or a dead letter.

Returning acknowledges the event; raising has it redelivered.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from functions.batching import Batcher
from functions.errors import InvalidRide, PublishFailed, TooLarge, Unavailable, UnreadableBody
from functions.json_decoding import decode_json
from functions.model_manager import ModelManager
from functions.publisher import MessagePublisher
from functions.pubsub_message import MAX_ATTRIBUTES, OutgoingMessage, is_valid_attribute, truncate_value
from functions.push_envelope import IncomingMessage, decode_push, ride_document, whole_body
from functions.rides import EXAMPLE_EVENT, Prediction, RideEvent, find_ride_id, parse_ride_event
from functions.telemetry import Trace, fields, logger, read_trace, set_trace

MAX_EVENT_BYTES = 10_000_000
"""Pub/Sub's own limit: anything larger did not come from Pub/Sub and could not be published again."""
MAX_DEAD_LETTER_BYTES = 9_000_000
"""How much of an event a dead letter keeps; Pub/Sub accepts 10 MB including the attributes."""

_LOG_LEVELS = {"predicted": logging.INFO, "dead_letter": logging.WARNING, "again": logging.ERROR}


class EventHandler:
    """Publishes a prediction or a dead letter for each delivery."""

    def __init__(
        self, models: ModelManager, predictions: MessagePublisher, dead_letters: MessagePublisher
    ) -> None:
        self._models = models
        self._predictions = predictions
        self._dead_letters = dead_letters
        self._batcher = Batcher()

    async def handle(
        self,
        headers: Mapping[str, str],
        body: bytes | bytearray,
        deadline: float,
        damage: InvalidRide | None = None,
    ) -> dict[str, Any]:
        """Handles one delivery and logs one line; returns the outcome when it is published.

        The outcome is {"outcome": "predicted", "prediction": {…}}, with the prediction event, and "repaired"
        with the names of impossible fields that were ignored, if any; or it is {"outcome": "dead_letter",
        "reason": …, "detail": …, "pointer": …}.

        Args:
            headers: their names are lower-case.
            body: as decompressed, if it was compressed.
            deadline: in the event loop's time.
            damage: why the body is not readable and must be dead-lettered as it is.

        Raises:
            Unavailable: the event must be redelivered, as after the deadline.
        """
        began = time.perf_counter()
        log_fields: dict[str, Any] = {"outcome": "again"}
        try:
            async with asyncio.timeout_at(deadline):
                return await self._handle(headers, body, damage, log_fields)
        except TimeoutError:
            log_fields["reason"] = "not handled in time"
            raise PublishFailed(log_fields["reason"]) from None
        except Unavailable as error:
            log_fields["reason"] = str(error)
            raise
        finally:
            log_fields["latency_ms"] = round((time.perf_counter() - began) * 1000, 2)
            logger.log(_LOG_LEVELS[log_fields["outcome"]], "ride event", extra=fields(**log_fields))

    async def _handle(
        self,
        headers: Mapping[str, str],
        body: bytes | bytearray,
        damage: InvalidRide | None,
        log_fields: dict[str, Any],
    ) -> dict[str, Any]:
        """Handles one delivery and fills in `log_fields` on the way; returns the outcome."""
        trace = read_trace(headers)
        set_trace(trace)
        try:
            if damage:
                raise damage
            message = decode_push(headers, body)
        except InvalidRide as error:
            return await self._publish_dead_letter(whole_body(headers, body), error, log_fields)
        try:
            log_fields["message_id"] = truncate_value(message.message_id)
            # The event's own trace is more useful than that of the request which delivers it.
            trace = read_trace(message.attributes) or trace
            set_trace(trace)
            document, pointer = decode_event(message)
            log_fields["ride_id"] = find_ride_id(document)
            event = parse_ride_event(document, pointer)
            model = await self._models.model()
            log_fields["model_version"] = model.version
            (prediction,) = await self._batcher.predict(model, [event.ride])
        except InvalidRide as error:
            return await self._publish_dead_letter(message, error, log_fields)
        outgoing = prediction_event(event, prediction, message.data, trace)
        await self._predictions.publish(outgoing)
        log_fields["outcome"] = "predicted"
        outcome = {"outcome": "predicted", "prediction": msgspec.Raw(outgoing.data)}
        if event.repaired:
            log_fields["repaired"] = outcome["repaired"] = event.repaired
        return outcome

    async def _publish_dead_letter(
        self, message: IncomingMessage, error: InvalidRide, log_fields: dict[str, Any]
    ) -> dict[str, Any]:
        # The version that predicted, else the one in service; empty if there is none.
        version = log_fields.setdefault("model_version", self._models.version)
        letter = dead_letter(message, error, version)
        await self._dead_letters.publish(letter)
        detail = letter.attributes["dead_letter_detail"]
        outcome = {"outcome": "dead_letter", "reason": error.reason, "detail": detail}
        log_fields.update(outcome)
        return outcome | {"pointer": error.problems[0].pointer}


def decode_event(message: IncomingMessage) -> tuple[object, str]:
    """The decoded ride event in a message, and its JSON pointer in the data.

    Raises InvalidRide if the data is empty, too large, or not JSON.
    """
    if not message.data:
        raise UnreadableBody(f"is empty; it must be a ride event, {EXAMPLE_EVENT}")
    if len(message.data) > MAX_EVENT_BYTES:
        raise TooLarge(MAX_EVENT_BYTES)
    return ride_document(decode_json(message.data))


def prediction_event(
    event: RideEvent, prediction: Prediction, data: bytes, trace: Trace | None
) -> OutgoingMessage:
    """The course's prediction event; the same event and model version always give the same bytes and id."""
    identity = b"\0".join((prediction.model.encode(), prediction.version.encode(), data))
    event_id = hashlib.sha256(identity).hexdigest()[:32]
    attributes = {
        "ride_id": str(event.ride_id),
        "model": prediction.model,
        "version": prediction.version,
        "event_id": event_id,
        "content_type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-source": f"//ridecast/{prediction.model}/{prediction.version}",
        "ce-type": f"ridecast.{prediction.target}.predicted.v1",
    }
    if event.repaired:
        attributes["repaired"] = ",".join(event.repaired)
    if trace and trace.traceparent:
        attributes["traceparent"] = trace.traceparent
    return OutgoingMessage(msgspec.json.encode(prediction.event(event.ride_id)), attributes)


def dead_letter(message: IncomingMessage, error: InvalidRide, version: str) -> OutgoingMessage:
    """The event as received, with attributes that say why it cannot be predicted.

    An event too large to be published again is truncated; its full size and SHA-256 are kept.
    """
    reason_attributes = {
        "dead_letter_reason": error.reason,
        "dead_letter_detail": str(error),
        "dead_letter_pointer": error.problems[0].pointer,
        "dead_letter_subscription": message.subscription,
        "dead_letter_message_id": message.message_id,
        "dead_letter_publish_time": message.publish_time,
        "dead_letter_ordering_key": message.ordering_key,
        "dead_letter_model_version": version,
    }
    if message.delivery_attempt is not None:
        reason_attributes["dead_letter_delivery_attempt"] = str(message.delivery_attempt)
    if len(message.data) > MAX_DEAD_LETTER_BYTES:
        reason_attributes["dead_letter_full_size"] = str(len(message.data))
        reason_attributes["dead_letter_full_sha256"] = hashlib.sha256(message.data).hexdigest()
    # A sender other than Pub/Sub may set attributes that Pub/Sub does not accept.
    original = [
        (name, value)
        for name, value in message.attributes.items()
        if is_valid_attribute(name, value) and not name.startswith("dead_letter_")
    ]
    attributes = dict(original[: MAX_ATTRIBUTES - len(reason_attributes)]) | {
        name: truncate_value(value) for name, value in reason_attributes.items() if value
    }
    return OutgoingMessage(message.data[:MAX_DEAD_LETTER_BYTES], attributes)
