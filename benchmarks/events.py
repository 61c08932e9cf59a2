"""Topics for a server that takes events, and what must be on them."""

import queue
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from benchmarks.questions import Question, WrongAnswer, compare
from jobs.events.subscribers import Arrival, open_outlet
from jobs.local.topics import Topics

ARRIVAL_SECONDS = 30.0
"""For a prediction that was confirmed to come out of its subscription."""


@contextmanager
def new_topics(emulator: str) -> Iterator[Topics]:
    """Topics that nobody has published to; gone when this ends."""
    topics = Topics(emulator, f"ridecast-{uuid.uuid4().hex[:8]}")
    topics.create()
    try:
        yield topics
    finally:
        topics.delete()


def settings(topics: Topics) -> dict[str, str]:
    """The environment that connects a function with topics."""
    return {
        "PUBSUB_EMULATOR_HOST": topics.emulator,
        "GOOGLE_CLOUD_PROJECT": topics.project,
        "PREDICTIONS_TOPIC": topics.predictions,
        "DEAD_LETTER_TOPIC": topics.dead_letters,
    }


def check_predictions(topics: Topics, questions: Sequence[Question], most: float) -> None:
    """Reads a prediction for each delivery from its topic.

    Args:
        questions: deliveries, the number of each its ride's id.
        most: minutes by which a prediction may differ.

    Raises:
        WrongAnswer: one is missing, or is not the model's.
    """
    arrivals: queue.Queue[Arrival] = queue.Queue()
    outlet = open_outlet(topics.predictions_pull, arrivals.put, topics.emulator)
    missing = set(range(len(questions)))
    try:
        while missing:
            prediction = msgspec.json.decode(arrivals.get(timeout=ARRIVAL_SECONDS).data)["prediction"]
            number = prediction["ride_id"]
            compare(prediction["ride_duration"], questions[number], most)
            missing.discard(number)
    except queue.Empty:
        raise WrongAnswer(f"{len(missing)} confirmed predictions are not on the topic") from None
    finally:
        outlet.close()
