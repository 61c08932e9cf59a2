"""Requests in the format of each server, and checks of the responses."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from benchmarks.champion import Champion
from functions.errors import RidecastError
from functions.features import FeatureMatrix, FeatureTable, ride_columns
from functions.rides import parse_ride
from jobs.events.publishers import push_envelope

TOLERANCE_MINUTES = 1e-3
"""By which predictions of other runtimes, such as scikit-learn, may differ from the model's."""
EXCERPT_BYTES = 200
"""Of a wrong response, for the error message."""

EncodeRide = Callable[[int, dict[str, Any], Sequence[float]], object]
"""Number of the request, a ride and its features → the request's JSON document."""


class WrongResponse(RidecastError):
    """A server returned something other than the model's prediction."""


class RequestCase(NamedTuple):
    """A request body and its correct prediction."""

    body: bytes
    minutes: float
    """The model's prediction."""


class Workload(NamedTuple):
    """Requests in one format."""

    file: Path
    """All bodies, one per line."""
    cases: list[RequestCase]


ResponseCheck = Callable[[RequestCase, bytes, float], None]
"""Case, body of a response with status 200, tolerance in minutes; raises WrongResponse."""


class RequestFormat(NamedTuple):
    """The path and body of a server's requests, and the check of its responses."""

    name: str
    path: str
    encode: EncodeRide
    check: ResponseCheck


def prediction_check(read: Callable[[Any], float]) -> ResponseCheck:
    """A check that the response has the model's prediction.

    Args:
        read: returns the minutes from the response's JSON document.
    """

    def check(case: RequestCase, response: bytes, tolerance: float) -> None:
        try:
            minutes = read(msgspec.json.decode(response))
        except (msgspec.MsgspecError, LookupError, TypeError) as error:
            raise WrongResponse(f"{response[:EXCERPT_BYTES]!r} is not a prediction") from error
        check_minutes(minutes, case, tolerance)

    return check


def check_minutes(minutes: float, case: RequestCase, tolerance: float) -> None:
    """Raises WrongResponse if they differ from the model's by more than the tolerance."""
    if not abs(minutes - case.minutes) <= tolerance:
        raise WrongResponse(f"it predicts {minutes!r} where the model predicts {case.minutes!r}")


def check_echo(case: RequestCase, response: bytes, _tolerance: float) -> None:
    """Checks that the response is the request's body."""
    if response != case.body:
        raise WrongResponse(f"it returns {response[:EXCERPT_BYTES]!r} for {case.body[:EXCERPT_BYTES]!r}")


def accept_any(_case: RequestCase, _response: bytes, _tolerance: float) -> None:
    """Accepts every response: the predictions of events are checked on their topic instead."""


def _encode_ride(_: int, ride: dict[str, Any], _features: Sequence[float]) -> object:
    return ride


def _duration(response: Any) -> float:
    minutes: float = response["duration"]
    return minutes


RIDE = RequestFormat("ride", "/predict", _encode_ride, prediction_check(_duration))
"""A ride in the course's format."""
ECHO = RIDE._replace(path="/", check=check_echo)
"""For the echo servers."""
WRAPPED_RIDE = RIDE._replace(name="wrapped-ride", encode=lambda _, ride, _features: {"ride": ride})
"""BentoML's format: an object with a field for each parameter of the method."""
EVENT = RequestFormat(
    "event",
    "/",
    lambda number, ride, _: msgspec.Raw(
        push_envelope(msgspec.json.encode({"ride": ride, "ride_id": number}), str(number))
    ),
    accept_any,
)
"""Pub/Sub's push delivery of a ride event whose ID is the request's number."""


def split_format(columns: Sequence[str]) -> RequestFormat:
    """MLflow's own protocol, in which a request has features."""
    return RequestFormat(
        "split",
        "/invocations",
        lambda _, _ride, features: {"dataframe_split": {"columns": list(columns), "data": [list(features)]}},
        prediction_check(lambda response: float(response["predictions"][0]["ride_duration"])),
    )


def open_inference_format(columns: Sequence[str]) -> RequestFormat:
    """The Open Inference Protocol, version 2, in which a request has features."""

    def encode(_: int, _ride: dict[str, Any], features: Sequence[float]) -> object:
        inputs = [
            {"name": name, "shape": [1, 1], "datatype": "FP32", "data": [value]}
            for name, value in zip(columns, features, strict=True)
        ]
        return {"parameters": {"content_type": "pd"}, "inputs": inputs}

    return RequestFormat(
        "open-inference",
        "/v2/models/rides/infer",
        encode,
        prediction_check(lambda response: float(response["outputs"][0]["data"][0])),
    )


class WorkloadWriter:
    """Writes requests for the champion's rides.

    Uses only rides without missing features, because JSON has no NaN.

    Args:
        folder: an existing folder for the files of bodies.
    """

    def __init__(self, champion: Champion, folder: Path) -> None:
        self._folder = folder
        rides = [parse_ride(recorded.ride) for recorded in champion.rides]
        features = FeatureMatrix(champion.columns)(FeatureTable(ride_columns(rides)))
        complete = np.flatnonzero(np.isfinite(features).all(axis=1))
        self._rides = [champion.rides[row].ride for row in complete]
        self._features = features[complete].tolist()
        predictions = champion.model.predict_rides([rides[row] for row in complete])
        self._minutes = [prediction.value for prediction in predictions]

    def write(self, request_format: RequestFormat, count: int) -> Workload:
        """Writes `count` requests, numbered from 0, which repeat the rides in turn."""
        cases = []
        for number in range(count):
            row = number % len(self._rides)
            document = request_format.encode(number, self._rides[row], self._features[row])
            cases.append(RequestCase(msgspec.json.encode(document), self._minutes[row]))
        file = self._folder / f"{request_format.name}-{count}.jsonl"
        file.write_bytes(b"\n".join(case.body for case in cases) + b"\n")
        return Workload(file, cases)
