"""The pipeline in ONNX, the format that is served; and whether it says the same there."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.pipeline import Pipeline

from functions.errors import RidecastError
from functions.features import RideColumns, feature_matrix
from functions.onnx_model import open_session
from jobs.registry.gates import LARGEST_DIFFERENCE
from jobs.training.pipeline import COLUMNS, feature_frame
from jobs.trips.records import without_pickup_time

Minutes = npt.NDArray[np.float64]
Predict = Callable[[RideColumns], Minutes]

TARGET = "ride_duration"
LARGEST_MINUTES = 180.0
"""A prediction above, or below 0, cannot be one of a taxi ride; the functions refuse it."""


class DifferentModels(RidecastError):
    """The ONNX model does not say what the scikit-learn model says, or not what can be."""


def export(pipeline: Pipeline) -> onnx.ModelProto:
    """The fitted pipeline as a graph: `features` float32 [n, columns] → `ride_duration` float32 [n, 1]."""
    graph = to_onnx(
        pipeline,
        name=TARGET,
        initial_types=[("features", FloatTensorType([None, len(COLUMNS)]))],
        final_types=[(TARGET, FloatTensorType([None, 1]))],
    )
    assert isinstance(graph, onnx.ModelProto)
    return graph


def predictor(graph: onnx.ModelProto) -> Predict:
    """The graph as it is served."""
    session = open_session(graph.SerializeToString())

    def predict(rides: RideColumns) -> Minutes:
        (minutes,) = session.run([TARGET], {"features": feature_matrix(rides, COLUMNS)})
        return np.asarray(minutes, np.float64).reshape(-1)

    return predict


def check(predict: Predict, pipeline: Pipeline, rides: RideColumns) -> float:
    """The largest difference between ONNX and scikit-learn, in minutes, with and without pick-up times.

    Args:
        predict: the exported model.
        rides: a held-out month.

    Raises:
        DifferentModels: they differ by `LARGEST_DIFFERENCE` or more, or a number cannot be a taxi ride's.
    """
    differences = []
    for seen in (rides, without_pickup_time(rides)):
        served = predict(seen)
        if not ((served >= 0) & (served <= LARGEST_MINUTES)).all():
            raise DifferentModels(
                f"the model says {served.min():.1f} to {served.max():.1f} minutes on the held-out rides; "
                f"only 0 to {LARGEST_MINUTES:g} can be served. Nothing was registered: train on more rides"
            )
        differences.append(np.abs(served - pipeline.predict(feature_frame(seen))).max())
    largest = float(max(differences))
    if not largest < LARGEST_DIFFERENCE:
        raise DifferentModels(
            f"ONNX and scikit-learn differ by up to {largest:.4f} minutes on the held-out rides, where "
            f"less than {LARGEST_DIFFERENCE:g} is asked. Nothing was registered: the conversion is at fault"
        )
    return largest
