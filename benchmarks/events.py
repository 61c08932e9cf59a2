"""Topics for a server of events, and the check of the predictions published to them."""

import queue
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from benchmarks.workload import RequestCase, WrongResponse, check_minutes
from jobs.events.subscribers import ReceivedMessage, open_subscriber
from jobs.local.topics import Topics

RECEIVE_TIMEOUT_SECONDS = 30.0
"""Time limit for a confirmed prediction to reach its subscriber."""


@contextmanager
def new_topics(emulator: str) -> Iterator[Topics]:
    """Creates new topics, and deletes them on exit."""
    topics = Topics(emulator, f"ridecast-{uuid.uuid4().hex[:8]}")
    topics.create()
    try:
        yield topics
    finally:
        topics.delete()


def topic_environment(topics: Topics) -> dict[str, str]:
    """Environment variables that connect a function to the topics."""
    return {
        "PUBSUB_EMULATOR_HOST": topics.emulator,
        "GOOGLE_CLOUD_PROJECT": topics.project,
        "PREDICTIONS_TOPIC": topics.predictions,
        "DEAD_LETTER_TOPIC": topics.dead_letters,
    }


def check_predictions(topics: Topics, cases: Sequence[RequestCase], tolerance: float) -> None:
    """Reads the predictions of delivered events from their topic and checks them.

    Args:
        cases: the events; the ride ID of each is its index.
        tolerance: minutes by which a prediction may differ.

    Raises:
        WrongResponse: a prediction is missing, or is not the model's.
    """
    received: queue.Queue[ReceivedMessage] = queue.Queue()
    subscriber = open_subscriber(topics.predictions_pull, received.put, topics.emulator)
    missing = set(range(len(cases)))
    try:
        while missing:
            prediction = msgspec.json.decode(received.get(timeout=RECEIVE_TIMEOUT_SECONDS).data)["prediction"]
            number = prediction["ride_id"]
            check_minutes(prediction["ride_duration"], cases[number], tolerance)
            missing.discard(number)
    except queue.Empty:
        raise WrongResponse(f"{len(missing)} confirmed predictions are not on the topic") from None
    finally:
        subscriber.close()
