"""What rows are, as far as scoring needs to know."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Numbers = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


class Judged(Protocol):
    """The rows of a batch, judged one by one."""

    @property
    def faults(self) -> Mapping[str, Mask]:
        """What can be wrong with a row → the rows with which it is; these are not predicted."""

    @property
    def mended(self) -> Mapping[str, Mask]:
        """What was taken as unknown, because it cannot be → the rows with which that was so."""

    def table(self, places: Places) -> Mapping[str, npt.NDArray[Any]]:
        """Rows as a model takes them: columns by name."""

    def predicted(self, places: Places, numbers: Numbers) -> pa.RecordBatch:
        """Rows with their predictions: what is written."""

    def rejected(self, places: Places, reasons: pa.Array) -> pa.RecordBatch:
        """Rows that cannot be predicted, as they came, each with its reason."""

    def actual(self, places: Places) -> Numbers:
        """What the rows' target really was; NaN where nobody knows."""


class Subject(Protocol):
    """An open file of rows of one kind."""

    @property
    def place(self) -> str:
        """Where it is."""

    @property
    def rows(self) -> int:
        """In the whole file."""

    @property
    def source_columns(self) -> list[str]:
        """Those of the file that are read."""

    @property
    def partition(self) -> tuple[str, ...]:
        """Folders in which the predictions of this file belong, `("taxi_type=green", …)`."""

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """The rows in their order, at most so many at a time, at least one batch.

        Raises:
            FileAccessError: the file is damaged.
        """

    def judge(self, batch: pa.RecordBatch, first: int) -> Judged:
        """A batch's rows.

        Args:
            first: where the batch begins in the file.
        """


def only(batch: pa.RecordBatch, places: Places) -> pa.RecordBatch:
    """These rows of a batch; the batch itself if these are all."""
    return batch if len(places) == batch.num_rows else batch.take(pa.array(places))
