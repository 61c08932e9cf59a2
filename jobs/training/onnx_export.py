"""Exports the pipeline to ONNX, the format that is served, and verifies the result."""

from collections.abc import Callable

import numpy as np
import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.pipeline import Pipeline

from functions.errors import RidecastError
from functions.features import RideColumns, feature_matrix
from functions.onnx_model import open_session
from jobs.metrics import Minutes
from jobs.registry.gates import MAX_PARITY_DIFFERENCE
from jobs.training.pipeline import COLUMNS, feature_frame
from jobs.trips.records import without_pickup_time

PredictFunction = Callable[[RideColumns], Minutes]

TARGET = "ride_duration"
MAX_PREDICTED_MINUTES = 180.0
"""The functions reject predictions above this or below 0 as implausible for a taxi ride."""


class ParityError(RidecastError):
    """The ONNX model differs from the scikit-learn model, or predicts implausible durations."""


def export(pipeline: Pipeline) -> onnx.ModelProto:
    """Converts a fitted pipeline: `features` float32 [n, columns] → `ride_duration` float32 [n, 1]."""
    graph = to_onnx(
        pipeline,
        name=TARGET,
        initial_types=[("features", FloatTensorType([None, len(COLUMNS)]))],
        final_types=[(TARGET, FloatTensorType([None, 1]))],
    )
    assert isinstance(graph, onnx.ModelProto)
    return graph


def onnx_predictor(graph: onnx.ModelProto) -> PredictFunction:
    """Returns a function that predicts with the graph, in the way that it is served."""
    session = open_session(graph.SerializeToString())

    def predict(rides: RideColumns) -> Minutes:
        (minutes,) = session.run([TARGET], {"features": feature_matrix(rides, COLUMNS)})
        return np.asarray(minutes, np.float64).reshape(-1)

    return predict


def verify_parity(predict: PredictFunction, pipeline: Pipeline, rides: RideColumns) -> float:
    """Verifies that ONNX and scikit-learn agree, with and without pick-up times.

    Returns the largest difference in minutes.

    Args:
        predict: the exported model.
        rides: a held-out month.

    Raises:
        ParityError: they differ by `MAX_PARITY_DIFFERENCE` or more, or a prediction is implausible.
    """
    differences = []
    for columns in (rides, without_pickup_time(rides)):
        predicted = predict(columns)
        if not ((predicted >= 0) & (predicted <= MAX_PREDICTED_MINUTES)).all():
            raise ParityError(
                f"the model predicts {predicted.min():.1f} to {predicted.max():.1f} minutes on the held-out "
                f"rides, but only 0 to {MAX_PREDICTED_MINUTES:g} can be served. Nothing was registered: "
                "train on more rides"
            )
        differences.append(np.abs(predicted - pipeline.predict(feature_frame(columns))).max())
    largest = float(max(differences))
    if not largest < MAX_PARITY_DIFFERENCE:
        raise ParityError(
            f"ONNX and scikit-learn differ by up to {largest:.4f} minutes on the held-out rides, but must "
            f"differ by less than {MAX_PARITY_DIFFERENCE:g}. Nothing was registered: the conversion is faulty"
        )
    return largest
