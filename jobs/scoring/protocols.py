"""The rows of a file, as far as scoring needs to know them."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from functions.model import FloatArray
from jobs.storage.tables import Table

Mask = npt.NDArray[np.bool_]
RowIndices = npt.NDArray[np.int64]
"""Indices of rows in their batch."""


class ValidatedBatch(Protocol):
    """A batch whose rows have been checked one by one."""

    faults: dict[str, Mask]
    """Reason → the rows, [batch], that cannot be predicted because of it."""
    repaired: dict[str, Mask]
    """Impossible value → the rows, [batch], in which it was replaced by "unknown"."""

    def model_input(self, indices: RowIndices) -> Mapping[str, npt.NDArray[Any]]:
        """The model's columns, by name, [n] each."""

    def predicted(self, indices: RowIndices, predictions: FloatArray) -> pa.RecordBatch:
        """The output rows: the rows with their predictions, [n]."""

    def rejected(self, indices: RowIndices, reasons: pa.Array) -> pa.RecordBatch:
        """Rows that cannot be predicted, exactly as read, each with its reason, [n]."""

    def actual(self, indices: RowIndices) -> FloatArray:
        """The true values of the target, [n]; NaN where unknown."""


class RowSource(Protocol):
    """A table with rows of one kind."""

    table: Table
    """The file or files: a path, `gs://` or `https://`."""
    source_columns: list[str]
    """The columns of the table that are read."""
    partition: tuple[str, ...]
    """The folders for the predictions of this file, such as `("taxi_type=green", …)`."""

    def validate(self, batch: pa.RecordBatch, first_row: int) -> ValidatedBatch:
        """Checks the rows of a batch; `first_row` is the index of its first row in the table."""


def take_rows(batch: pa.RecordBatch, indices: RowIndices) -> pa.RecordBatch:
    """These rows of a batch; the batch itself, not a copy, if these are all rows."""
    return batch if len(indices) == batch.num_rows else batch.take(pa.array(indices))
