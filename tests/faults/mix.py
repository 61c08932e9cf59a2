"""What is asked under load, in the forms of several clients, and what each model must answer."""

import itertools
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from functions.model import load_model
from functions.releases import Release
from functions.rides import parse_ride
from jobs.events.publishers import push_envelope
from jobs.events.subscribers import ReceivedMessage
from tests.faults.oracle import Event
from tests.faults.traffic import Answer, post
from tests.models import some_rides

RIDES = 500
SINGLE, TENS, HUNDREDS, BAD = 700, 200, 80, 20
"""Of a thousand requests."""
BAD_EVENT = 100
"""Each so many events one is bad."""
COLUMNS = ("PULocationID", "DOLocationID", "trip_distance")


class Question(NamedTuple):
    """A request to `predict`, and its answer by each version of the model."""

    request: bytes
    status: int
    answers: Mapping[str, Any]

    def version(self, answer: Answer) -> str:
        """The version whose numbers an answer has, all of them.

        Raises:
            AssertionError: it is no right answer.
        """
        assert answer.status == self.status, f"{answer.status} for {self.status}: {answer.body[:200]!r}"
        if self.status != 200:
            return ""
        said = msgspec.json.decode(answer.body)
        versions = [version for version, document in self.answers.items() if document == said]
        assert len(versions) == 1, f"{answer.body[:200]!r} is none of {self.answers}"
        return versions[0]


class Mix:
    """An endless mix of requests and events.

    Args:
        folders: the model of each version.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        columns = some_rides(RIDES, seed=5)
        self._rides = [
            dict(zip(COLUMNS, values, strict=True))
            for values in zip(*(each.tolist() for each in columns[:3]), strict=True)
        ]
        self._truth = {version: self._predicted(folder) for version, folder in folders.items()}
        questions = self._questions()
        random.Random(5).shuffle(questions)
        self._next = itertools.cycle(questions)
        self._numbers = itertools.count(1)

    def question(self) -> Question:
        return next(self._next)

    def event(self) -> tuple[Event, bytes]:
        """A ride event that there was not before, and the request that delivers it."""
        number = next(self._numbers)
        good = number % BAD_EVENT != 0
        ride = self._rides[number % RIDES] if good else {"PULocationID": 0}
        data = msgspec.json.encode({"ride": ride, "ride_id": number})
        event = Event(number if good else "", data, good)
        # By turns in Pub/Sub's wrapper and without it.
        return event, post("/", push_envelope(data, str(number)) if number % 2 else data)

    def event_version(self, arrival: ReceivedMessage) -> str:
        """The version that a prediction event names.

        Raises:
            AssertionError: its number is not that version's.
        """
        said = json.loads(arrival.data)
        version: str = said["version"]
        assert arrival.attributes["version"] == version
        number = said["prediction"]["ride_id"]
        assert said["prediction"]["ride_duration"] == self._truth[version][number % RIDES], said
        return version

    def _predicted(self, folder: Path) -> list[float]:
        model = load_model(Release(name="ride-duration", version="", location=str(folder)))
        return [each.value for each in model.predict_rides([parse_ride(ride) for ride in self._rides])]

    def _questions(self) -> list[Question]:
        half = SINGLE // 2
        return [
            *(self._course_ride(number % RIDES) for number in range(half)),
            *(self._course_event(number % RIDES) for number in range(half)),
            *(self._batch(number, 10) for number in range(TENS)),
            *(self._batch(number, 100) for number in range(HUNDREDS)),
            *(self._bad(number) for number in range(BAD)),
        ]

    def _course_ride(self, number: int) -> Question:
        answers = {
            version: {"duration": truth[number], "model_version": version}
            for version, truth in self._truth.items()
        }
        return _question("/predict", self._rides[number], answers)

    def _course_event(self, number: int) -> Question:
        answers = {
            version: {
                "model": "ride_duration_prediction_model",
                "version": version,
                "prediction": {"ride_duration": truth[number], "ride_id": number},
            }
            for version, truth in self._truth.items()
        }
        return _question("/predict", {"ride": self._rides[number], "ride_id": number}, answers)

    def _batch(self, number: int, size: int) -> Question:
        """Vertex AI's, MLflow's and BigQuery's form by turns."""
        first = number * 7 % (RIDES - size)
        rides = self._rides[first : first + size]
        rows = [list(ride.values()) for ride in rides]
        path, document, key = (
            ("/predict", {"instances": rides}, "predictions"),
            ("/invocations", {"dataframe_split": {"columns": COLUMNS, "data": rows}}, "predictions"),
            ("/", {"calls": rows}, "replies"),
        )[number % 3]
        return _question(path, document, self._answers(key, first, size))

    def _answers(self, key: str, first: int, size: int) -> dict[str, Any]:
        return {version: {key: truth[first : first + size]} for version, truth in self._truth.items()}

    def _bad(self, number: int) -> Question:
        """A ride from nowhere, half a body, and a call without arguments by turns."""
        body, status = (
            (msgspec.json.encode(self._rides[number] | {"PULocationID": 0}), 422),
            (b'{"instances": [{"PULocationID"', 400),
            (b'{"calls": [[130, 205, 3.66], []]}', 400),
        )[number % 3]
        return Question(post("/predict", body), status, {})


def _question(path: str, document: Any, answers: Mapping[str, Any]) -> Question:
    said: Sequence[Any] = list(answers.values())
    assert said[0] != said[1], "the two models must differ"
    return Question(post(path, msgspec.json.encode(document)), 200, answers)
