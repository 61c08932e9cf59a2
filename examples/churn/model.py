"""The churn model: its input columns, the scikit-learn pipeline, and its export to ONNX."""

import numpy as np
import onnx
import pandas as pd
from mlflow.types import DataType
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from functions.mlmodel import PredictionTarget

TARGET = PredictionTarget("churn", "probability", 0.0, 1.0)
TEXT_COLUMNS = ("city", "plan")
COUNT_COLUMNS = (
    "months_as_customer",
    "rides_previous_month",
    "rides_last_month",
    "days_since_last_ride",
    "complaints",
)
RATING = "mean_rating"
"""The customer's mean rating of drivers, the only column that may be missing."""
COLUMNS = {
    **dict.fromkeys(TEXT_COLUMNS, DataType.string),
    **dict.fromkeys(COUNT_COLUMNS, DataType.long),
    RATING: DataType.double,
}
"""Input columns of the model with their MLflow types."""
_ONNX_TYPES = {
    DataType.string: StringTensorType,
    DataType.long: Int64TensorType,
    DataType.double: FloatTensorType,
}


def new_pipeline(strength: float) -> Pipeline:
    """The unfitted pipeline: `COLUMNS` → the probabilities of staying and of leaving, [n, 2].

    Args:
        strength: inverse of the regularization, scikit-learn's `C`.
    """
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), list(TEXT_COLUMNS)),
        (StandardScaler(), list(COUNT_COLUMNS)),
        (make_pipeline(SimpleImputer(), StandardScaler()), [RATING]),
    )
    return make_pipeline(columns, LogisticRegression(C=strength))


def model_frame(customers: pd.DataFrame) -> pd.DataFrame:
    """The rows without missing values, in the model's columns and types."""
    complete = customers.dropna(subset=[*TEXT_COLUMNS, *COUNT_COLUMNS])
    return complete[list(COLUMNS)].astype(dict.fromkeys(COUNT_COLUMNS, np.int64))


def export(pipeline: Pipeline) -> onnx.ModelProto:
    """Converts a fitted pipeline: an input [n, 1] for each column → `churn` float32 [n, 1]."""
    inputs = [(name, _ONNX_TYPES[kind]([None, 1])) for name, kind in COLUMNS.items()]
    model = to_onnx(pipeline, initial_types=inputs, options={"zipmap": False})
    assert isinstance(model, onnx.ModelProto)
    graph = model.graph
    # skl2onnx outputs the label and the probabilities of both classes; keep that of the second.
    graph.initializer.append(numpy_helper.from_array(np.array([1]), "leaving"))
    graph.node.append(helper.make_node("Gather", ["probabilities", "leaving"], [TARGET.target], axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(TARGET.target, TensorProto.FLOAT, [None, 1]))
    return model
