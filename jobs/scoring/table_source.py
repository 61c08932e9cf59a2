"""Rows of any table whose columns a model takes."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from functions.model import Model
from jobs.scoring.layout import fit
from jobs.scoring.protocols import Mask, Numbers, Places, only
from jobs.storage.files import FileAccessError, name_of
from jobs.storage.parquet import ParquetSource, is_number, is_text, numbers_of

VERSION, REASON, INPUT = "model_version", "reason", "input"
"""Columns that are added; the last is a folder's name, which readers of the layout take for a column."""
TEXT = "string"
_KNOW_NAN = ("float", "double")
"""MLflow's types that have a value for what is not known."""
_LARGEST = {"boolean": 1.0, "integer": 2.0**31 - 1, "long": 2.0**53}
"""MLflow's types of whole numbers, with the largest that comes to the model as it is; others are none."""


class ScoredTable:
    """A file whose columns have the names of the model's."""

    def __init__(self, source: ParquetSource, model: Model) -> None:
        """Raises FileAccessError where a column has a type that the model cannot take, or a name that is added."""
        self.place, self.rows = source.place, source.rows
        self.source_columns = source.names
        self.partition = (f"{INPUT}={fit(PurePosixPath(name_of(source.place)).stem)}",)
        self.model = model
        self.target = f"predicted_{model.target.target}"
        """The column of the predictions."""
        self._source = source
        self._refuse_names()
        self.kinds = {name: self._kind(name) for name in model.columns}
        """MLflow's type of each column that the model takes; empty for numbers of any."""

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        return self._source.batches(self._source.names, rows)

    def judge(self, batch: pa.RecordBatch, first: int) -> "TableBatch":
        return TableBatch(self, batch)

    def _refuse_names(self) -> None:
        # DuckDB and BigQuery do not tell capitals from small letters.
        added = {self.target.lower(), VERSION, REASON, INPUT}
        if taken := [name for name in self._source.names if name.lower() in added]:
            raise FileAccessError(
                f"{self.place} already has a column {' and '.join(taken)}, which scoring adds: rename it, or "
                "give the table without"
            )

    def _kind(self, name: str) -> str:
        column = self._source.schema.field(name).type
        kind = self.model.types.get(name) or (TEXT if is_text(column) else "")
        if not (is_text(column) or is_number(column)) or (kind == TEXT and pa.types.is_boolean(column)):
            raise FileAccessError(
                f"{self.place} has {column} in {name}, where {self.model.release.name} version "
                f"{self.model.version} takes {'text' if kind == TEXT else 'numbers'}: convert the column"
            )
        return kind


class TableBatch:
    """Some of its rows."""

    def __init__(self, file: ScoredTable, batch: pa.RecordBatch) -> None:
        self._file = file
        self._batch = batch
        self.faults: dict[str, Mask] = {}
        self.mended: Mapping[str, Mask] = {}
        self._table = {
            name: self._text(name) if kind == TEXT else self._numbers(name, kind)
            for name, kind in file.kinds.items()
        }

    def table(self, places: Places) -> Mapping[str, npt.NDArray[Any]]:
        return {name: column.take(places) for name, column in self._table.items()}

    def predicted(self, places: Places, numbers: Numbers) -> pa.RecordBatch:
        return (
            only(self._batch, places)
            .append_column(self._file.target, pa.array(numbers))
            .append_column(VERSION, pa.repeat(self._file.model.version, len(places)))
        )

    def rejected(self, places: Places, reasons: pa.Array) -> pa.RecordBatch:
        return only(self._batch, places).append_column(REASON, reasons)

    def actual(self, places: Places) -> Numbers:
        return np.full(len(places), np.nan)

    def _text(self, name: str) -> npt.NDArray[Any]:
        # Arrow writes 130.0 as 130.
        texts = self._batch[name].cast(pa.string())
        self.faults[f"{name} is missing"] = _mask(texts.is_null())
        filled: npt.NDArray[Any] = texts.fill_null("").to_numpy(zero_copy_only=False)
        return filled

    def _numbers(self, name: str, kind: str) -> Numbers:
        column = self._batch[name]
        numbers = numbers_of(column)
        unknown = np.isnan(numbers)
        if kind not in _KNOW_NAN:
            self.faults[f"{name} is missing or no number"] = unknown
        elif is_text(column.type):
            self.faults[f"{name} is no number"] = unknown & ~_mask(column.is_null())
        if kind in _LARGEST:
            what = "true or false" if kind == "boolean" else "a whole number"
            whole = (np.abs(numbers) <= _LARGEST[kind]) & (np.trunc(numbers) == numbers)
            self.faults[f"{name} is not {what}"] = ~whole
        return numbers


def _mask(column: pa.Array) -> Mask:
    mask: Mask = column.to_numpy(zero_copy_only=False)
    return mask
