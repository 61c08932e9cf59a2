"""Models in ONNX, by onnxruntime: microseconds a ride, and no code from the model's folder runs."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from functions.artifacts import ModelFolder
from functions.errors import ModelUnavailable
from functions.features import FeatureMatrix, Features
from functions.mlmodel import TEXT, Description, as_type

_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(string)": TEXT,
    "tensor(bool)": np.bool_,
}
ERRORS_ONLY = 3
NO_FOLDER = "/dev/null"
"""Where weights outside a graph are looked for; nothing can be in it."""


class OnnxScorer:
    """A graph that takes one matrix of all columns, or one input for each column."""

    def __init__(self, session: onnxruntime.InferenceSession, columns: tuple[str, ...]) -> None:
        inputs = session.get_inputs()
        self._session = session
        self._output = [session.get_outputs()[0].name]
        self._matrix = inputs[0].name if len(inputs) == 1 and columns else None
        self._kind = _TYPES[inputs[0].type]
        self._types = {item.name: _TYPES[item.type] for item in inputs}
        self.columns = columns if self._matrix else tuple(self._types)

    def score(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[Any]:
        if self._matrix:
            feed = {self._matrix: self._side_by_side(table)}
        else:
            feed = {name: as_type(table[name], kind).reshape(rows, 1) for name, kind in self._types.items()}
        result: npt.NDArray[Any] = self._session.run(self._output, feed)[0]
        return result

    def _side_by_side(self, table: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
        if isinstance(table, Features) and self._kind is not TEXT:
            return self._feature_matrix(table)
        return np.column_stack([as_type(table[name], self._kind) for name in self.columns])

    @cached_property
    def _feature_matrix(self) -> FeatureMatrix:
        """Made when the first rides come: a model of any other table has no such columns."""
        return FeatureMatrix(self.columns, self._kind)


def open_session(graph: bytes) -> onnxruntime.InferenceSession:
    """A graph as it is served.

    One thread: more of them add a table's trees up in another order, to other bits than for a ride alone.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    # A graph could name files of this machine as its weights, or come in a format that is not checked.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", NO_FOLDER)
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def load_onnx(folder: ModelFolder, description: Description) -> OnnxScorer:
    """Raises ModelUnavailable where onnxruntime does not take the file."""
    graph = folder.read(str(description.flavors["onnx"].get("data", "model.onnx")))
    try:
        return OnnxScorer(open_session(graph), tuple(column.name for column in description.columns))
    except Exception as error:  # onnxruntime's own errors share no base but Exception
        raise ModelUnavailable(f"the ONNX model cannot be loaded: {error}") from error
