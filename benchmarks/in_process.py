"""Time of one ride without a server, from request bytes to response bytes: in total and by part.

    python -m benchmarks.in_process MODEL_FOLDER RIDES

RIDES has the JSON of one ride per line. Prints the median of each part as JSON, in microseconds for one ride
and for 1,000 instances. The parts are timed in turns, each on many rides: for a repeated ride, the nodes of
the trees that it visits would be in the processor's cache.
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
from functions.codecs import DecodedRequest, decode_request
from functions.features import FeatureMatrix, FeatureTable, RideColumns, ride_columns
from functions.mlmodel import read_description
from functions.model import Model, load_model
from functions.onnx_model import open_session
from functions.resolver import resolve
from functions.rides import Prediction

ROUNDS = 41
INSTANCES = 1000
JSON = "application/json"
PARTS = ("read", "columns", "features", "model", "checks", "write")
"""In order of execution; `checks` is the rest of `predict_rides`: plausibility checks and result objects."""

_encode = msgspec.json.Encoder().encode


class Stages:
    """Each stage of handling a request body as a function, with its input prepared."""

    def __init__(self, folder: str, bodies: Sequence[bytes]) -> None:
        release = resolve(folder)
        self.model: Model = load_model(release)
        files = ModelFolder(release)
        description = read_description(files)
        self._session = open_session(files.read(str(description.flavors["onnx"]["data"])))
        self._input = self._session.get_inputs()[0].name
        self._matrix = FeatureMatrix([column.name for column in description.columns])
        self.bodies = bodies
        self.requests: list[DecodedRequest] = [decode_request(body, JSON) for body in bodies]
        self.columns: list[RideColumns] = [ride_columns(request.rides) for request in self.requests]
        self.matrices = [self._matrix(FeatureTable(columns)) for columns in self.columns]
        self.predictions: list[list[Prediction]] = [
            self.model.predict_rides(request.rides) for request in self.requests
        ]

    def stages(self) -> dict[str, Callable[[], object]]:
        """Functions by stage; each handles every body once."""
        return {
            "whole": lambda: [self._respond(body) for body in self.bodies],
            "read": lambda: [decode_request(body, JSON) for body in self.bodies],
            "predict": lambda: [self.model.predict_rides(request.rides) for request in self.requests],
            "columns": lambda: [ride_columns(request.rides) for request in self.requests],
            "features": lambda: [self._matrix(FeatureTable(columns)) for columns in self.columns],
            "model": lambda: [self._session.run(None, {self._input: each}) for each in self.matrices],
            "write": lambda: [
                _encode(request.encode(predictions))
                for request, predictions in zip(self.requests, self.predictions, strict=True)
            ],
        }

    def _respond(self, body: bytes) -> bytes:
        request = decode_request(body, JSON)
        return _encode(request.encode(self.model.predict_rides(request.rides)))


def time_stages(stages: Stages) -> dict[str, float]:
    """Microseconds per body: `whole`, and each of `PARTS`."""
    functions = stages.stages()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append((time.perf_counter() - start) / len(stages.bodies) * 1e6)
    medians = {name: median(each) for name, each in times.items()}
    inside = medians["columns"] + medians["features"] + medians["model"]
    medians["checks"] = medians.pop("predict") - inside
    return medians


def measure(folder: str, rides: Sequence[bytes]) -> dict[str, dict[str, float]]:
    """Microseconds for `one` ride and for `many`, see `time_stages`.

    Args:
        folder: folder of the MLflow model in ONNX.
        rides: the JSON of one ride each.
    """
    many: list[Any] = [msgspec.Raw(ride) for ride in islice(cycle(rides), INSTANCES)]
    return {
        "one": time_stages(Stages(folder, rides)),
        "many": time_stages(Stages(folder, [_encode({"instances": many})])),
    }


if __name__ == "__main__":
    _, model_folder, file = sys.argv
    sys.stdout.buffer.write(_encode(measure(model_folder, Path(file).read_bytes().splitlines())) + b"\n")
