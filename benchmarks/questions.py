"""What servers are asked, each in its own form, and what they must answer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from benchmarks.champion import Champion
from functions.errors import RidecastError
from functions.features import FeatureMatrix, Features, ride_columns
from functions.rides import parse_ride
from jobs.events.publishers import push_envelope

SAME_MINUTES = 1e-3
"""By which scikit-learn and other builds of the same model may differ from what Ridecast says."""
SHOWN = 200
"""Bytes of a wrong answer."""

Write = Callable[[int, dict[str, Any], Sequence[float]], object]
"""A number of its own, a ride and its features → the document that asks for the ride's minutes."""


class WrongAnswer(RidecastError):
    """A server answered with something else than the model says."""


class Question(NamedTuple):
    """One request's body, and what it is about."""

    body: bytes
    minutes: float
    """What the model says."""


class Questions(NamedTuple):
    """Bodies of one form."""

    file: Path
    """All of them, one a line."""
    each: list[Question]


Check = Callable[[Question, bytes, float], None]
"""Takes the body of an answer with status 200, and the minutes by which it may differ from the model's.

Raises WrongAnswer.
"""


class Form(NamedTuple):
    """How a server is asked for a ride, and what is a right answer."""

    name: str
    path: str
    write: Write
    check: Check


def predicted(read: Callable[[Any], float]) -> Check:
    """Checks that the answer is the model's.

    Args:
        read: takes the minutes out of the answer's document.
    """

    def check(question: Question, answer: bytes, most: float) -> None:
        try:
            minutes = read(msgspec.json.decode(answer))
        except (msgspec.MsgspecError, LookupError, TypeError) as error:
            raise WrongAnswer(f"{answer[:SHOWN]!r} is no prediction") from error
        compare(minutes, question, most)

    return check


def compare(minutes: float, question: Question, most: float) -> None:
    """Raises WrongAnswer if they are not the model's, give or take `most`."""
    if not abs(minutes - question.minutes) <= most:
        raise WrongAnswer(f"it says {minutes!r} where the model says {question.minutes!r}")


def echoed(question: Question, answer: bytes, _most: float) -> None:
    """Checks that the answer is the question."""
    if answer != question.body:
        raise WrongAnswer(f"it gives back {answer[:SHOWN]!r} for {question.body[:SHOWN]!r}")


def confirmed(_question: Question, _answer: bytes, _most: float) -> None:
    """A delivery's answer says nothing but 200; whether the prediction is right, its topic tells."""


def _write_ride(_: int, ride: dict[str, Any], _features: Sequence[float]) -> object:
    return ride


def _duration(answer: Any) -> float:
    minutes: float = answer["duration"]
    return minutes


RIDE = Form("ride", "/predict", _write_ride, predicted(_duration))
"""A ride as the course writes it."""
ECHO = RIDE._replace(path="/", check=echoed)
"""What a limit is sent, it gives back."""
WRAPPED_RIDE = RIDE._replace(name="wrapped-ride", write=lambda _, ride, _features: {"ride": ride})
"""BentoML's: an object with a field for each of a method's parameters."""
EVENT = Form(
    "event",
    "/",
    lambda number, ride, _: msgspec.Raw(
        push_envelope(msgspec.json.encode({"ride": ride, "ride_id": number}), str(number))
    ),
    confirmed,
)
"""Pub/Sub's push delivery of a ride event whose id is its number."""


def split_form(columns: Sequence[str]) -> Form:
    """MLflow's own protocol, which takes features."""
    return Form(
        "split",
        "/invocations",
        lambda _, _ride, features: {"dataframe_split": {"columns": list(columns), "data": [list(features)]}},
        predicted(lambda answer: float(answer["predictions"][0]["ride_duration"])),
    )


def open_inference_form(columns: Sequence[str]) -> Form:
    """The Open Inference Protocol, version 2, which takes features."""

    def write(_: int, _ride: dict[str, Any], features: Sequence[float]) -> object:
        inputs = [
            {"name": name, "shape": [1, 1], "datatype": "FP32", "data": [value]}
            for name, value in zip(columns, features, strict=True)
        ]
        return {"parameters": {"content_type": "pd"}, "inputs": inputs}

    return Form(
        "open-inference",
        "/v2/models/rides/infer",
        write,
        predicted(lambda answer: float(answer["outputs"][0]["data"][0])),
    )


class Asker:
    """Writes questions about the champion's rides.

    Only rides whose features are all known are asked about: JSON has no NaN.

    Args:
        folder: existing, takes the files of bodies.
    """

    def __init__(self, champion: Champion, folder: Path) -> None:
        self._folder = folder
        rides = [parse_ride(recorded.ride) for recorded in champion.rides]
        features = FeatureMatrix(champion.columns)(Features(ride_columns(rides)))
        known = np.flatnonzero(np.isfinite(features).all(axis=1))
        self._rides = [champion.rides[row].ride for row in known]
        self._features = features[known].tolist()
        self._minutes = [made.value for made in champion.model.predict_rides([rides[row] for row in known])]

    def ask(self, form: Form, count: int) -> Questions:
        """So many questions, numbered from 0; the rides come in turns."""
        each = []
        for number in range(count):
            row = number % len(self._rides)
            document = form.write(number, self._rides[row], self._features[row])
            each.append(Question(msgspec.json.encode(document), self._minutes[row]))
        file = self._folder / f"{form.name}-{count}.jsonl"
        file.write_bytes(b"\n".join(question.body for question in each) + b"\n")
        return Questions(file, each)
