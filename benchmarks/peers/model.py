"""Loads the champion without Ridecast's serving code, for tools in which the user calls the model.

All of them compute features with Ridecast's code, so that they differ in serving only.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from functions.features import FeatureMatrix, FeatureTable, RideColumns, ride_columns
from functions.rides import parse_ride

ALL_CORES = 0
"""onnxruntime's default number of threads."""
Predict = Callable[[object], float]
"""A ride from a request → its predicted minutes."""


def load() -> Predict:
    """Loads the model in MODEL_FOLDER with the input MODEL_COLUMNS: ONNX, or scikit-learn as a skops file."""
    folder = Path(os.environ["MODEL_FOLDER"])
    columns = os.environ["MODEL_COLUMNS"].split(",")
    graph = next(folder.glob("*.onnx"), None)
    return _onnx(graph, columns) if graph else _scikit_learn(next(folder.glob("*.skops")), columns)


def load_table() -> Callable[[RideColumns], Any]:
    """Loads the same model for many rides at once; it returns one number per ride."""
    folder = Path(os.environ["MODEL_FOLDER"])
    columns = os.environ["MODEL_COLUMNS"].split(",")
    matrix = FeatureMatrix(columns)
    graph = next(folder.glob("*.onnx"), None)
    if graph:
        session, name = _session(graph, ALL_CORES)
        return lambda rides: session.run(None, {name: matrix(FeatureTable(rides))})[0].reshape(-1)
    import pandas as pd

    pipeline = _pipeline(next(folder.glob("*.skops")))
    return lambda rides: pipeline.predict(pd.DataFrame(matrix(FeatureTable(rides)), columns=columns))


def feature_encoder(columns: list[str]) -> Callable[[object], Any]:
    """A function that turns a ride into a feature matrix of one row."""
    matrix = FeatureMatrix(columns)
    return lambda ride: matrix(FeatureTable(ride_columns([parse_ride(ride)])))


def _onnx(graph: Path, columns: list[str]) -> Predict:
    features = feature_encoder(columns)
    # One thread: for a single ride, a second one costs more time than it saves.
    session, name = _session(graph, 1)
    return lambda ride: float(session.run(None, {name: features(ride)})[0].item())


def _scikit_learn(file: Path, columns: list[str]) -> Predict:
    import pandas as pd

    features = feature_encoder(columns)
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
