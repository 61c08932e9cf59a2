"""ONNX models, run by onnxruntime: microseconds per ride, and no code from the model's folder is executed."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from functions.artifacts import ModelFolder
from functions.errors import ModelUnavailable
from functions.features import FeatureMatrix, FeatureTable
from functions.mlmodel import TEXT_DTYPE, ModelDescription, cast_column

_DTYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(string)": TEXT_DTYPE,
    "tensor(bool)": np.bool_,
}
LOG_ERRORS_ONLY = 3
NO_EXTERNAL_DATA = "/dev/null"
"""Path for weights outside the graph, under which nothing can exist."""


class OnnxScorer:
    """A graph with one matrix of all columns as its input, or with one input per column."""

    def __init__(self, session: onnxruntime.InferenceSession, columns: tuple[str, ...]) -> None:
        inputs = session.get_inputs()
        self._session = session
        self._outputs = [session.get_outputs()[0].name]
        self._matrix_input = inputs[0].name if len(inputs) == 1 and columns else None
        self._matrix_dtype = _DTYPES[inputs[0].type]
        self._dtypes = {item.name: _DTYPES[item.type] for item in inputs}
        self.columns = columns if self._matrix_input else tuple(self._dtypes)

    def score(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[Any]:
        if self._matrix_input:
            feed = {self._matrix_input: self._matrix(table)}
        else:
            feed = {
                name: cast_column(table[name], dtype).reshape(rows, 1) for name, dtype in self._dtypes.items()
            }
        result: npt.NDArray[Any] = self._session.run(self._outputs, feed)[0]
        return result

    def _matrix(self, table: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
        if isinstance(table, FeatureTable) and self._matrix_dtype is not TEXT_DTYPE:
            return self._feature_matrix(table)
        return np.column_stack([cast_column(table[name], self._matrix_dtype) for name in self.columns])

    @cached_property
    def _feature_matrix(self) -> FeatureMatrix:
        """Created with the first rides: a model of another table has no such columns."""
        return FeatureMatrix(self.columns, self._matrix_dtype)


def open_session(graph: bytes) -> onnxruntime.InferenceSession:
    """A session with the options for serving.

    It has one thread: with more, a table's trees would be summed in another order, giving different bits.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = LOG_ERRORS_ONLY
    # Otherwise a graph could load local files as its weights, or use a format that is not validated.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", NO_EXTERNAL_DATA)
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def load_onnx(folder: ModelFolder, description: ModelDescription) -> OnnxScorer:
    """Raises ModelUnavailable if onnxruntime rejects the file."""
    graph = folder.read(str(description.flavors["onnx"].get("data", "model.onnx")))
    try:
        return OnnxScorer(open_session(graph), tuple(column.name for column in description.columns))
    except Exception as error:  # onnxruntime's errors have no other common base class
        raise ModelUnavailable(f"the ONNX model cannot be loaded: {error}") from error
