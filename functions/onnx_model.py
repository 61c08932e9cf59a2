"""ONNX models, run by onnxruntime: microseconds per ride, and no code from the model's folder is executed."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from functions.artifacts import ModelFolder
from functions.errors import ModelUnavailable
from functions.features import FeatureMatrix, FeatureTable, RideColumns
from functions.mlmodel import TEXT_DTYPE, ModelDescription, cast_column, damaged_file, takes_rides
from functions.rides import LAST_ZONE

_DTYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(string)": TEXT_DTYPE,
    "tensor(bool)": np.bool_,
}
_MLFLOW_TYPES: dict[Any, str] = {
    np.float32: "float",
    np.float64: "double",
    np.int64: "long",
    np.int32: "integer",
    TEXT_DTYPE: "string",
    np.bool_: "boolean",
}
_NUMBERS = {"tensor(float16)", "tensor(float)", "tensor(double)", "tensor(int64)", "tensor(int32)"}
"""Types that an output may have."""
LOG_ERRORS_ONLY = 3
NO_EXTERNAL_DATA = "/dev/null"
"""Path for weights outside the graph, under which nothing can exist."""
UNKNOWN_TEXT = "no such value"
"""A text that no model has learned."""
TEXT_BATCH = 500
"""Rides per call when looking for a text that a graph knows: an encoder of 10,000 zone pairs gives 20 MB."""


class OnnxScorer:
    """A graph with one matrix of all columns as its input, or with one input per column."""

    def __init__(
        self, session: onnxruntime.InferenceSession, columns: tuple[str, ...], target: str = ""
    ) -> None:
        """Raises ModelUnavailable if the graph's inputs or outputs are not those of a table of `columns`.

        Args:
            target: name of the output to use if there are several.
        """
        inputs = session.get_inputs()
        self._session = session
        self._outputs = [_output_of(session, target)]
        self._matrix_input = inputs[0].name if len(inputs) == 1 and columns else None
        _check_inputs(inputs, columns)
        self._matrix_dtype = _DTYPES[inputs[0].type]
        self._dtypes = {item.name: _DTYPES[item.type] for item in inputs}
        self.columns = columns if self._matrix_input else tuple(self._dtypes)
        dtypes = dict.fromkeys(columns, self._matrix_dtype) if self._matrix_input else self._dtypes
        self.types = {name: _MLFLOW_TYPES[dtype] for name, dtype in dtypes.items()}
        """Columns → MLflow's types in which the graph gets them."""

    def score(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[Any]:
        if self._matrix_input:
            feed = {self._matrix_input: self._matrix(table)}
        else:
            feed = {
                name: cast_column(table[name], dtype).reshape(rows, 1) for name, dtype in self._dtypes.items()
            }
        result: npt.NDArray[Any] = self._session.run(self._outputs, feed)[0]
        return result

    def check_texts(self, graph: bytes) -> None:
        """Raises ModelUnavailable if the graph knows none of the texts that rides have in a column.

        Args:
            graph: the file, which holds the texts that an encoder learned.
        """
        texts = [name for name, kind in self.types.items() if kind == "string"]
        for name in texts:
            if len(texts) == 1 and _holds_text(graph, name):
                continue
            if not any(self._knows_text(name, rides) for rides in _rides_with_all_texts()):
                text = FeatureTable(next(_rides_with_all_texts()))[name][0]
                raise ModelUnavailable(
                    f'the model predicts the same for each {name} that a ride has, such as "{text}", as for '
                    "an unknown one: it learned other texts, or does not use the column. Fit it on values as "
                    "rides have them, or without the column"
                )

    def _knows_text(self, name: str, rides: RideColumns) -> bool:
        """Whether the predictions of these rides differ from those with a text that no model learned."""
        table, rows = FeatureTable(rides), len(rides.PULocationID)
        columns = {column: table[column] for column in self.columns}
        unknown = columns | {name: np.full(rows, UNKNOWN_TEXT, TEXT_DTYPE)}
        try:
            return not np.array_equal(self.score(columns, rows), self.score(unknown, rows), equal_nan=True)
        except Exception:  # onnxruntime's errors have no other common base class
            return True  # not silent about what it did not learn

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
    """Raises ModelUnavailable if onnxruntime rejects the file, or the graph does not fit its signature."""
    path = str(description.flavors["onnx"].get("data", "model.onnx"))
    graph = folder.read(path)
    columns = tuple(column.name for column in description.columns)
    try:
        session = open_session(graph)
    except Exception as error:  # onnxruntime's errors have no other common base class
        if "External data path" in str(error):
            raise ModelUnavailable(
                f"{folder.location}/{path} keeps its weights in a second file, which is not read: log the "
                "model again with mlflow.onnx.log_model(…, save_as_external_data=False)"
            ) from error
        damaged = "INVALID_PROTOBUF" in str(error)
        detail = f"the file is incomplete or of another format ({error})" if damaged else error
        raise damaged_file(folder, path, "ONNX model", detail, graph) from error
    scorer = OnnxScorer(session, columns, description.target.target)
    for column in description.columns:
        fed = scorer.types.get(column.name, column.type)
        if (fed == "string") != (column.type == "string"):
            raise ModelUnavailable(
                f"the signature declares {column.name} as {column.type}, but the graph takes {fed}: log the "
                "model with the signature of the data that it was fitted on"
            )
    if takes_rides(scorer.columns):
        scorer.check_texts(graph)
    return scorer


def _output_of(session: onnxruntime.InferenceSession, target: str) -> str:
    """Name of the output with the predictions; raises ModelUnavailable if that is unclear, or no number."""
    outputs = session.get_outputs()
    chosen = outputs if len(outputs) == 1 else [output for output in outputs if output.name == target]
    if not chosen:
        names = ", ".join(output.name for output in outputs)
        raise ModelUnavailable(
            f"the graph has several outputs ({names}), so which one is the prediction is not known: export "
            'only that one (docs/own-model.md), or name it in metadata={"target": …}'
        )
    (output,) = chosen
    width = output.shape[1] if len(output.shape) == 2 else 1
    if output.type not in _NUMBERS or (isinstance(width, int) and width != 1):
        raise ModelUnavailable(
            f"the graph's output {output.name} is {output.type} {output.shape}, but must be one number per "
            "row: export the number that you want (docs/own-model.md)"
        )
    name: str = output.name
    return name


def _check_inputs(inputs: list[Any], columns: tuple[str, ...]) -> None:
    """Raises ModelUnavailable unless there is one input per column, or one matrix of all columns."""
    for item in inputs:
        width = len(columns) if len(inputs) == 1 and columns else 1
        described = f"the graph's input {item.name} is {item.type} {item.shape}"
        if item.type not in _DTYPES:
            raise ModelUnavailable(f"{described}; supported types are {', '.join(_DTYPES)}")
        if not item.shape:  # of any shape
            continue
        if isinstance(item.shape[0], int):
            raise ModelUnavailable(f"{described}: export the model for any number of rows, [None, …]")
        if not columns and len(inputs) == 1 and item.shape[1:] != [1]:
            raise ModelUnavailable(
                f"{described}, and the model was logged without a signature, so its columns are unknown: log "
                "it with a signature that has named columns"
            )
        if len(item.shape) != 2 or (isinstance(item.shape[1], int) and item.shape[1] != width):
            raise ModelUnavailable(
                f"{described}, which does not fit the signature ({', '.join(columns)}): export one "
                "input [None, 1] per column, or one matrix of all columns, and log it with a signature that "
                "names them"
            )


def _holds_text(graph: bytes, name: str) -> bool:
    """Whether one of the texts that rides have in a column is among a graph's attributes."""
    for rides in _rides_with_all_texts():
        texts = cast_column(FeatureTable(rides)[name], TEXT_DTYPE).tolist()
        if any(b"\x4a%c%s" % (len(text), text.encode()) in graph for text in set(texts)):
            return True
    return False


def _rides_with_all_texts() -> Iterator[RideColumns]:
    """All pairs of zones in batches, in an arbitrary order, so that a known one is found soon."""
    pairs = np.random.default_rng(0).permutation(LAST_ZONE * LAST_ZONE)
    for first in range(0, len(pairs), TEXT_BATCH):
        batch = pairs[first : first + TEXT_BATCH]
        yield RideColumns(
            batch // LAST_ZONE + 1,
            batch % LAST_ZONE + 1,
            np.full(len(batch), 3.66),
            np.full(len(batch), 600.0),
            np.full(len(batch), 2.0),
        )
