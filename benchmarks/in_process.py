"""One ride without a server: from the request's bytes to the answer's, whole and in its parts.

    python -m benchmarks.in_process MODEL_FOLDER RIDES

RIDES holds a ride's JSON a line. Prints the median of each part as JSON, in microseconds for one ride
and for 1,000 instances. The parts are timed in turns, each on many rides: the same one again would find its
way through the trees cached.
"""

import sys
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from functions.artifacts import ModelFolder
from functions.codecs import Asked, read_rides
from functions.features import FeatureMatrix, Features, RideColumns, ride_columns
from functions.mlmodel import describe
from functions.model import Model, load_model
from functions.onnx_model import open_session
from functions.resolver import resolve
from functions.rides import Prediction

ROUNDS = 41
INSTANCES = 1000
JSON = "application/json"
PARTS = ("read", "columns", "features", "model", "checks", "write")
"""In the order in which they happen; `checks` is what is left of a prediction: checks, and its objects."""

_encode = msgspec.json.Encoder().encode


class Stages:
    """What is done for a body, stage by stage, with what each takes ready for it."""

    def __init__(self, folder: str, bodies: Sequence[bytes]) -> None:
        release = resolve(folder)
        self.model: Model = load_model(release)
        files = ModelFolder(release)
        description = describe(files)
        self._session = open_session(files.read(str(description.flavors["onnx"]["data"])))
        self._input = self._session.get_inputs()[0].name
        self._matrix = FeatureMatrix([column.name for column in description.columns])
        self.bodies = bodies
        self.asked: list[Asked] = [read_rides(body, JSON) for body in bodies]
        self.columns: list[RideColumns] = [ride_columns(asked.rides) for asked in self.asked]
        self.matrices = [self._matrix(Features(columns)) for columns in self.columns]
        self.made: list[list[Prediction]] = [self.model.predict_rides(asked.rides) for asked in self.asked]

    def stages(self) -> dict[str, Callable[[], object]]:
        """Each does its work for every body once."""
        return {
            "whole": lambda: [self._answer(body) for body in self.bodies],
            "read": lambda: [read_rides(body, JSON) for body in self.bodies],
            "predict": lambda: [self.model.predict_rides(asked.rides) for asked in self.asked],
            "columns": lambda: [ride_columns(asked.rides) for asked in self.asked],
            "features": lambda: [self._matrix(Features(columns)) for columns in self.columns],
            "model": lambda: [self._session.run(None, {self._input: each}) for each in self.matrices],
            "write": lambda: [
                _encode(asked.write(made)) for asked, made in zip(self.asked, self.made, strict=True)
            ],
        }

    def _answer(self, body: bytes) -> bytes:
        asked = read_rides(body, JSON)
        return _encode(asked.write(self.model.predict_rides(asked.rides)))


def timed(stages: Stages) -> dict[str, float]:
    """Microseconds a body: `whole`, and each of `PARTS`."""
    works = stages.stages()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            times[name].append((time.perf_counter() - began) / len(stages.bodies) * 1e6)
    middle = {name: median(each) for name, each in times.items()}
    inside = middle["columns"] + middle["features"] + middle["model"]
    middle["checks"] = middle.pop("predict") - inside
    return middle


def measure(folder: str, rides: Sequence[bytes]) -> dict[str, dict[str, float]]:
    """Microseconds for `one` ride and for `many`, see `timed`.

    Args:
        folder: of the MLflow model in ONNX.
        rides: one ride's JSON each.
    """
    many: list[Any] = [msgspec.Raw(ride) for ride in islice(cycle(rides), INSTANCES)]
    return {
        "one": timed(Stages(folder, rides)),
        "many": timed(Stages(folder, [_encode({"instances": many})])),
    }


if __name__ == "__main__":
    _, model_folder, file = sys.argv
    sys.stdout.buffer.write(_encode(measure(model_folder, Path(file).read_bytes().splitlines())) + b"\n")
