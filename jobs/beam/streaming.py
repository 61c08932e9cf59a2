"""Streaming with Beam: Pub/Sub messages → RunInference → predictions and dead letters."""

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io import PubsubMessage, ReadFromPubSub, WriteToPubSub
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler, RunInference

from functions import telemetry
from functions.batching import MAX_BATCH_RIDES
from functions.model_manager import ModelManager
from functions.settings import FunctionSettings
from functions.telemetry import fields, logger
from jobs.beam.handler import ReceivedEvent, RoutedMessage, StreamTopics, handle_events, received_event
from jobs.beam.pubsub_io import PublishAndAcknowledge, Pull
from jobs.beam.worker_model import create_model_manager, run_in_event_loop


def build_local_pipeline(
    pipeline: beam.Pipeline, topics: StreamTopics, settings: FunctionSettings, lock_path: str, workers: int
) -> None:
    """Adds the transforms for this machine, which acknowledge an event once its result is confirmed.

    Beam's own read would acknowledge events as soon as they are pulled, so a killed process would lose
    them. Instead, each worker pulls for itself, in one bundle that ends when the watchdog's lock is released.
    """
    (
        pipeline
        | "workers" >> beam.Create([topics.subscription] * workers)
        | "pull" >> beam.ParDo(Pull(lock_path))
        | "predict" >> RunInference(EventModelHandler(topics, settings, local=True).with_no_batching())
        | "publish, then acknowledge" >> beam.ParDo(PublishAndAcknowledge(topics.subscription))
    )


def build_dataflow_pipeline(
    pipeline: beam.Pipeline, topics: StreamTopics, settings: FunctionSettings
) -> None:
    """Adds the transforms for Dataflow, which acknowledges events when their bundle is committed."""
    messages = (
        pipeline
        | "read" >> ReadFromPubSub(subscription=topics.subscription, with_attributes=True)
        | "messages" >> beam.Map(received_event, topics.subscription)
        | "predict" >> RunInference(EventModelHandler(topics, settings))
        | "answers" >> beam.FlatMap(list)
    )
    for name, topic in (("predictions", topics.predictions), ("dead letters", topics.dead_letters)):
        (
            messages
            | f"{name} alone" >> beam.Filter(is_for_topic, topic)
            | f"{name} as messages" >> beam.Map(beam_message).with_output_types(PubsubMessage)
            | f"publish {name}" >> WriteToPubSub(topic, with_attributes=True)
        )


def beam_message(message: RoutedMessage) -> PubsubMessage:
    """Converts a message for Beam to publish."""
    return PubsubMessage(message.message.data, message.message.attributes)


def is_for_topic(message: RoutedMessage, topic: str) -> bool:
    """Whether a message goes to a topic."""
    return message.topic == topic


class EventModelHandler(ModelHandler[ReceivedEvent, list[RoutedMessage], ModelManager]):  # type: ignore[misc]
    """Predicts with the current model, which each worker refreshes by itself.

    Beam's own refresh, a side input, would rename the model for all workers at once. Here, a worker
    switches when it has loaded and tested the new release, and otherwise keeps the last good one.

    If `local`, on this machine, logs have the functions' format, and an event for which the model fails is
    left for redelivery, without failing its bundle.
    """

    def __init__(self, topics: StreamTopics, settings: FunctionSettings, *, local: bool = False) -> None:
        super().__init__(max_batch_size=MAX_BATCH_RIDES)
        self._topics = topics
        self._settings = settings
        self._local = local

    def load_model(self) -> ModelManager:
        if self._local:
            telemetry.configure(self._settings.log_level, self._settings.project)
        manager = create_model_manager(self._settings)
        run_in_event_loop(manager.model())
        return manager

    def run_inference(
        self, batch: Sequence[ReceivedEvent], model: ModelManager, inference_args: Any = None
    ) -> Iterable[list[RoutedMessage]]:
        messages, failures = handle_events(batch, run_in_event_loop(model.model()), self._topics)
        if failures and not self._local:
            raise failures[0]  # Dataflow retries the bundle
        if failures:
            logger.error("not predicted", extra=fields(events=len(failures), reason=str(failures[0])))
        predicted = sum(each.topic == self._topics.predictions for each in messages)
        Metrics.counter(EventModelHandler, "predictions").inc(predicted)
        Metrics.counter(EventModelHandler, "dead_letters").inc(len(messages) - predicted)
        return [messages]

    def get_num_bytes(self, batch: Sequence[ReceivedEvent]) -> int:
        return sum(len(received.message.data) for received in batch)
