"""What becomes of an event: the bytes that the Pub/Sub function would publish."""

from collections.abc import Sequence
from typing import NamedTuple

from functions.errors import ImplausiblePrediction, InvalidRide, ModelUnavailable
from functions.event_handler import dead_letter, document_of, prediction_event
from functions.model import Model
from functions.pubsub_message import OutMessage
from functions.push_envelope import Message
from functions.rides import Prediction, RideEvent, parse_ride_event
from functions.telemetry import read_trace


class Route(NamedTuple):
    """Where events come from, and where their outcomes go."""

    events: str
    """`projects/P/subscriptions/S`."""
    predictions: str
    """`projects/P/topics/T`."""
    dead_letters: str
    """Likewise."""


class Pulled(NamedTuple):
    """An event, and how it is acknowledged."""

    message: Message
    ack_id: str
    """Empty where the runner itself acknowledges it."""


class Answer(NamedTuple):
    """What becomes of an event."""

    topic: str
    message: OutMessage
    ack_id: str
    """Of the event."""


def answer(
    batch: Sequence[Pulled], model: Model, route: Route
) -> tuple[list[Answer], list[ModelUnavailable]]:
    """The answers to events, in their order: the bytes that the Pub/Sub function would publish.

    Returns:
        With them the failures of the model; the events with which it failed have no answer.
    """
    read = [_read(pulled.message) for pulled in batch]
    events = [each for each in read if isinstance(each, RideEvent)]
    outcomes = iter(_predict(model, events))
    answers, failures = [], []
    for pulled, each in zip(batch, read, strict=True):
        message = pulled.message
        outcome = next(outcomes) if isinstance(each, RideEvent) else each
        if isinstance(outcome, ModelUnavailable):
            failures.append(outcome)
            continue
        if isinstance(outcome, InvalidRide):
            topic, out = route.dead_letters, dead_letter(message, outcome, model.version)
        else:
            assert isinstance(each, RideEvent)
            trace = read_trace(message.attributes)
            topic, out = route.predictions, prediction_event(each, outcome, message.data, trace)
        answers.append(Answer(topic, out, pulled.ack_id))
    return answers, failures


def _read(message: Message) -> RideEvent | InvalidRide:
    try:
        return parse_ride_event(document_of(message))
    except InvalidRide as error:
        return error


def _predict(
    model: Model, events: Sequence[RideEvent]
) -> Sequence[Prediction | InvalidRide | ModelUnavailable]:
    """One ride that cannot be predicted fails no other."""
    try:
        return model.predict_rides([event.ride for event in events])
    except (ImplausiblePrediction, ModelUnavailable) as error:
        if len(events) == 1:
            return [error]
        return [outcome for event in events for outcome in _predict(model, [event])]
