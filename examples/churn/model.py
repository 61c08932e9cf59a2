"""The model of who leaves: which columns it takes, the pipeline, and the pipeline in ONNX."""

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

from functions.mlmodel import Target

TARGET = Target("churn", "probability", 0.0, 1.0)
TEXTS = ("city", "plan")
COUNTS = (
    "months_as_customer",
    "rides_previous_month",
    "rides_last_month",
    "days_since_last_ride",
    "complaints",
)
RATING = "mean_rating"
"""Of the customer's drivers; the only column that may be unknown."""
COLUMNS = (
    dict.fromkeys(TEXTS, DataType.string) | dict.fromkeys(COUNTS, DataType.long) | {RATING: DataType.double}
)
"""Names and MLflow's types of what the model takes."""
_INPUTS = {
    DataType.string: StringTensorType,
    DataType.long: Int64TensorType,
    DataType.double: FloatTensorType,
}


def new_pipeline(strength: float) -> Pipeline:
    """`COLUMNS` → the probabilities of staying and of leaving.

    Args:
        strength: of the coefficients; scikit-learn's `C`.
    """
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), list(TEXTS)),
        (StandardScaler(), list(COUNTS)),
        (make_pipeline(SimpleImputer(), StandardScaler()), [RATING]),
    )
    return make_pipeline(columns, LogisticRegression(C=strength))


def model_frame(customers: pd.DataFrame) -> pd.DataFrame:
    """The rows that the model can take, in its columns and types."""
    known = customers.dropna(subset=[*TEXTS, *COUNTS])
    return known[list(COLUMNS)].astype(dict.fromkeys(COUNTS, np.int64))


def export(pipeline: Pipeline) -> onnx.ModelProto:
    """The fitted pipeline as a graph: an input [n, 1] for each column → `churn` float32 [n, 1]."""
    inputs = [(name, _INPUTS[kind]([None, 1])) for name, kind in COLUMNS.items()]
    model = to_onnx(pipeline, initial_types=inputs, options={"zipmap": False})
    assert isinstance(model, onnx.ModelProto)
    graph = model.graph
    # A classifier gives a label and the probabilities of all classes; what is asked is that of the second.
    graph.initializer.append(numpy_helper.from_array(np.array([1]), "leaving"))
    graph.node.append(helper.make_node("Gather", ["probabilities", "leaving"], [TARGET.target], axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(TARGET.target, TensorProto.FLOAT, [None, 1]))
    return model
