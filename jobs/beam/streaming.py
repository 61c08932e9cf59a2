"""Pub/Sub in, Pub/Sub out: messages → RunInference → the predictions and dead letters of the function."""

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io import PubsubMessage, ReadFromPubSub, WriteToPubSub
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler, RunInference

from functions import telemetry
from functions.batching import MOST_RIDES
from functions.push_envelope import Message
from functions.settings import Settings
from functions.telemetry import fields, logger
from jobs.beam.handler import Answer, Pulled, Route, answer
from jobs.beam.model_manager import Service
from jobs.beam.pubsub_io import PublishThenAcknowledge, Pull


def answer_here(pipeline: beam.Pipeline, route: Route, settings: Settings, leash: str, workers: int) -> None:
    """Adds to a pipeline of this machine: an event is acknowledged when its outcome is confirmed.

    Beam's own read acknowledges here what it has pulled, and a process that is killed loses it. So each
    worker pulls for itself, in one bundle that ends with the leash.
    """
    (
        pipeline
        | "workers" >> beam.Create([route.events] * workers)
        | "pull" >> beam.ParDo(Pull(leash))
        | "predict" >> RunInference(EventModel(route, settings, here=True).with_no_batching())
        | "publish, then acknowledge" >> beam.ParDo(PublishThenAcknowledge(route))
    )


def answer_on_dataflow(pipeline: beam.Pipeline, route: Route, settings: Settings) -> None:
    """Adds to a pipeline of Dataflow, which acknowledges what its bundles have done."""
    answers = (
        pipeline
        | "read" >> ReadFromPubSub(subscription=route.events, with_attributes=True)
        | "messages" >> beam.Map(from_beam, route.events)
        | "predict" >> RunInference(EventModel(route, settings))
        | "answers" >> beam.FlatMap(list)
    )
    for name, topic in (("predictions", route.predictions), ("dead letters", route.dead_letters)):
        (
            answers
            | f"{name} alone" >> beam.Filter(goes_to, topic)
            | f"{name} as messages" >> beam.Map(to_beam).with_output_types(PubsubMessage)
            | f"publish {name}" >> WriteToPubSub(topic, with_attributes=True)
        )


def from_beam(message: PubsubMessage, subscription: str) -> Pulled:
    """A message as Beam read it."""
    published = message.publish_time
    return Pulled(
        Message(
            data=message.data,
            attributes=dict(message.attributes or {}),
            message_id=message.message_id or "",
            publish_time=published.rfc3339() if published else "",
            subscription=subscription,
        ),
        "",
    )


def to_beam(answer: Answer) -> PubsubMessage:
    """A message as Beam publishes it."""
    return PubsubMessage(answer.message.data, answer.message.attributes)


def goes_to(answer: Answer, topic: str) -> bool:
    """Whether an answer is for a topic."""
    return answer.topic == topic


class EventModel(ModelHandler[Pulled, list[Answer], Service]):  # type: ignore[misc]
    """Beam's way to the model in service.

    Not by Beam's own refresh, a side input that renames the model for everyone: a worker takes a newer
    release when it has loaded and tried it, and goes on with the last good one otherwise.

    Args:
        here: on this machine logs have the functions' form, and an event with which the model fails is
            left for another delivery, alone.
    """

    def __init__(self, route: Route, settings: Settings, *, here: bool = False) -> None:
        super().__init__(max_batch_size=MOST_RIDES)
        self._route = route
        self._settings = settings
        self._here = here

    def load_model(self) -> Service:
        if self._here:
            telemetry.configure(self._settings.log_level, self._settings.project)
        service = Service(self._settings)
        service.model()
        return service

    def run_inference(
        self, batch: Sequence[Pulled], model: Service, inference_args: dict[str, Any] | None = None
    ) -> Iterable[list[Answer]]:
        answers, failures = answer(batch, model.model(), self._route)
        if failures and not self._here:
            raise failures[0]  # Dataflow tries the bundle again
        if failures:
            logger.error("not predicted", extra=fields(events=len(failures), reason=str(failures[0])))
        predicted = sum(each.topic == self._route.predictions for each in answers)
        Metrics.counter(EventModel, "predictions").inc(predicted)
        Metrics.counter(EventModel, "dead_letters").inc(len(answers) - predicted)
        return [answers]

    def get_num_bytes(self, batch: Sequence[Pulled]) -> int:
        return sum(len(pulled.message.data) for pulled in batch)
