"""The champion without Ridecast's serving, for tools that leave it to the user how a model is called.

A ride becomes features by Ridecast's code in all of them, so that they differ in the serving alone.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from functions.features import FeatureMatrix, Features, RideColumns, ride_columns
from functions.rides import parse_ride

ALL_CORES = 0
"""onnxruntime's own choice."""
Predict = Callable[[object], float]
"""A ride as it stands in a body → its minutes."""


def load() -> Predict:
    """The model in MODEL_FOLDER, which takes MODEL_COLUMNS: ONNX, or scikit-learn in a skops file."""
    folder = Path(os.environ["MODEL_FOLDER"])
    columns = os.environ["MODEL_COLUMNS"].split(",")
    graph = next(folder.glob("*.onnx"), None)
    return _onnx(graph, columns) if graph else _scikit_learn(next(folder.glob("*.skops")), columns)


def load_table() -> Callable[[RideColumns], Any]:
    """The same for many rides at once: one number a ride."""
    folder = Path(os.environ["MODEL_FOLDER"])
    columns = os.environ["MODEL_COLUMNS"].split(",")
    matrix = FeatureMatrix(columns)
    graph = next(folder.glob("*.onnx"), None)
    if graph:
        session, name = _session(graph, ALL_CORES)
        return lambda rides: session.run(None, {name: matrix(Features(rides))})[0].reshape(-1)
    import pandas as pd

    pipeline = _pipeline(next(folder.glob("*.skops")))
    return lambda rides: pipeline.predict(pd.DataFrame(matrix(Features(rides)), columns=columns))


def features_of(columns: list[str]) -> Callable[[object], Any]:
    """Makes a ride into one row of these columns."""
    matrix = FeatureMatrix(columns)
    return lambda ride: matrix(Features(ride_columns([parse_ride(ride)])))


def _onnx(graph: Path, columns: list[str]) -> Predict:
    features = features_of(columns)
    # As it is served on one core; waking a second costs one ride more.
    session, name = _session(graph, 1)
    return lambda ride: float(session.run(None, {name: features(ride)})[0].item())


def _scikit_learn(file: Path, columns: list[str]) -> Predict:
    import pandas as pd

    features = features_of(columns)
    pipeline = _pipeline(file)
    return lambda ride: float(pipeline.predict(pd.DataFrame(features(ride), columns=columns))[0])


def _session(graph: Path, threads: int) -> tuple[Any, str]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    return session, session.get_inputs()[0].name


def _pipeline(file: Path) -> Any:
    import skops.io

    return skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
