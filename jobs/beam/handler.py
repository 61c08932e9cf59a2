"""Turns ride events into exactly the messages that the Pub/Sub function would publish."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from functions.errors import ImplausiblePrediction, InvalidRide, ModelUnavailable
from functions.event_handler import dead_letter, decode_event, prediction_event
from functions.model import Model
from functions.pubsub_message import OutgoingMessage
from functions.push_envelope import IncomingMessage
from functions.rides import Prediction, RideEvent, parse_ride_event
from functions.telemetry import read_trace


class StreamTopics(NamedTuple):
    """The subscription and topics of a stream."""

    subscription: str
    """Source of ride events, `projects/P/subscriptions/S`."""
    predictions: str
    """`projects/P/topics/T`."""
    dead_letters: str
    """`projects/P/topics/T`."""


class ReceivedEvent(NamedTuple):
    """A ride event and its acknowledgement id."""

    message: IncomingMessage
    ack_id: str
    """Empty if the runner acknowledges the event."""


def received_event(
    message: Any, subscription: str, ack_id: str = "", delivery_attempt: int | None = None
) -> ReceivedEvent:
    """Converts a message of Pub/Sub's API or of Beam, which may lack all but the data."""
    incoming = IncomingMessage(
        data=message.data,
        attributes=dict(message.attributes or {}),
        message_id=message.message_id or "",
        publish_time=message.publish_time.rfc3339() if message.publish_time else "",
        subscription=subscription,
        delivery_attempt=delivery_attempt,
        ordering_key=message.ordering_key or "",
    )
    return ReceivedEvent(incoming, ack_id)


class RoutedMessage(NamedTuple):
    """The message that results from an event, and the topic it goes to."""

    topic: str
    message: OutgoingMessage
    ack_id: str
    """The acknowledgement id of the event."""


def handle_events(
    batch: Sequence[ReceivedEvent], model: Model, topics: StreamTopics
) -> tuple[list[RoutedMessage], list[ModelUnavailable]]:
    """Predicts a batch of events: returns messages in the order of the events, and the model's failures.

    Events for which the model failed have no message.
    """
    parsed = [_parse(received.message) for received in batch]
    events = [each for each in parsed if isinstance(each, RideEvent)]
    outcomes = iter(_predict(model, events))
    messages, failures = [], []
    for received, each in zip(batch, parsed, strict=True):
        message = received.message
        outcome = next(outcomes) if isinstance(each, RideEvent) else each
        if isinstance(outcome, ModelUnavailable):
            failures.append(outcome)
            continue
        if isinstance(outcome, InvalidRide):
            topic, outgoing = topics.dead_letters, dead_letter(message, outcome, model.version)
        else:
            assert isinstance(each, RideEvent)
            trace = read_trace(message.attributes)
            topic, outgoing = topics.predictions, prediction_event(each, outcome, message.data, trace)
        messages.append(RoutedMessage(topic, outgoing, received.ack_id))
    return messages, failures


def _parse(message: IncomingMessage) -> RideEvent | InvalidRide:
    try:
        return parse_ride_event(*decode_event(message))
    except InvalidRide as error:
        return error


def _predict(
    model: Model, events: Sequence[RideEvent]
) -> Sequence[Prediction | InvalidRide | ModelUnavailable]:
    """Predicts rides; if one makes the whole batch fail, each is predicted alone."""
    try:
        return model.predict_rides([event.ride for event in events])
    except (ImplausiblePrediction, ModelUnavailable) as error:
        if len(events) == 1:
            return [error]
        return [outcome for event in events for outcome in _predict(model, [event])]
