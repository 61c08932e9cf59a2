"""Any table that has the model's columns, as rows to score."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from functions.model import FloatArray, Model
from jobs.scoring.layout import safe_name
from jobs.scoring.protocols import Mask, RowIndices, take_rows
from jobs.storage.columns import is_number, is_text, to_float64
from jobs.storage.errors import FileAccessError
from jobs.storage.files import basename
from jobs.storage.tables import Table

VERSION, REASON, INPUT = "model_version", "reason", "input"
"""Columns that scoring adds; the last is in a folder's name, which readers of the layout see as a column."""
TEXT = "string"
_NULLABLE = ("float", "double")
"""MLflow's types that can represent a missing value, as NaN."""
_MAX_EXACT = {"boolean": 1.0, "integer": 2.0**31 - 1, "long": 2.0**53}
"""MLflow's integer types → the largest value that reaches the model unchanged."""


class TableSource:
    """A table that has a column for each of the model's."""

    def __init__(self, table: Table, model: Model) -> None:
        """Raises FileAccessError if a column is missing, of an unsuitable type, or one that scoring adds."""
        require_columns(table, model)
        self.table = table.keep_text([name for name in model.columns if model.types.get(name) == TEXT])
        self.source_columns = table.names
        self.partition: tuple[str, ...] = (f"{INPUT}={_input_name(table.uri)}",)
        self.model = model
        self.target = model.target.column
        """Name of the predictions' column."""
        self._check_names()
        self.kinds = {name: self._kind(name) for name in model.columns}
        """The model's columns → their MLflow types; empty for any number."""

    def validate(self, batch: pa.RecordBatch, first_row: int) -> "TableBatch":
        return TableBatch(self, batch)

    def _check_names(self) -> None:
        # DuckDB and BigQuery ignore case in column names.
        added = {self.target.lower(), VERSION, REASON, INPUT}
        if taken := [name for name in self.table.names if name.lower() in added]:
            raise FileAccessError(
                f"{self.table.uri} already has a column {' and '.join(taken)}, which scoring adds: rename or "
                "drop it"
            )

    def _kind(self, name: str) -> str:
        column = self.table.schema.field(name).type
        kind = self.model.types.get(name) or (TEXT if is_text(column) else "")
        if not (is_text(column) or is_number(column)) or (kind == TEXT and pa.types.is_boolean(column)):
            raise FileAccessError(
                f"{self.table.uri} has {column} in {name}, where {self.model.release.name} version "
                f"{self.model.version} takes {'text' if kind == TEXT else 'numbers'}: convert the column"
            )
        return kind


def require_columns(table: Table, model: Model) -> None:
    """Raises FileAccessError if the table lacks a column that the model takes; names one that is similar."""
    if missing := [name for name in model.columns if name not in table.names]:
        raise FileAccessError(
            f"{table.uri} has no column {', '.join(missing)}, which {model.release.name} version "
            f"{model.version} takes{_suggest(missing, table.names)}"
        )
    table.require(model.columns)


def _suggest(missing: Sequence[str], names: Sequence[str]) -> str:
    """Which columns may be meant by the missing names: those that are equal but for case, or nearly."""
    similar = {}
    for name in missing:
        twins = [each for each in names if each.lower() == name.lower()]
        similar[name] = (twins or get_close_matches(name, names, 1) or [""])[0]
    pairs = [f"{own} to {name}" for name, own in similar.items() if own and own not in missing]
    return f": if it is the same, rename {', '.join(pairs)}" if pairs else ""


def _input_name(uri: str) -> str:
    """The name of a table in the layout: that of its file or folder, without an ending."""
    name = basename(uri.rstrip("/"))
    return safe_name(PurePosixPath(PurePosixPath(name).stem if name.endswith(".gz") else name).stem)


class TableBatch:
    """A batch of its rows."""

    def __init__(self, source: TableSource, batch: pa.RecordBatch) -> None:
        self._source = source
        self._batch = batch
        self.faults: dict[str, Mask] = {}
        self.repaired: dict[str, Mask] = {}
        self._columns = {
            name: self._text(name) if kind == TEXT else self._numbers(name, kind)
            for name, kind in source.kinds.items()
        }

    def model_input(self, indices: RowIndices) -> Mapping[str, npt.NDArray[Any]]:
        return {name: column.take(indices) for name, column in self._columns.items()}

    def predicted(self, indices: RowIndices, predictions: FloatArray) -> pa.RecordBatch:
        return (
            take_rows(self._batch, indices)
            .append_column(self._source.target, pa.array(predictions))
            .append_column(VERSION, pa.repeat(self._source.model.version, len(indices)))
        )

    def rejected(self, indices: RowIndices, reasons: pa.Array) -> pa.RecordBatch:
        return take_rows(self._batch, indices).append_column(REASON, reasons)

    def actual(self, indices: RowIndices) -> FloatArray:
        return np.full(len(indices), np.nan)

    def _text(self, name: str) -> npt.NDArray[Any]:
        # Arrow's cast writes 130.0 as 130.
        texts = self._batch[name].cast(pa.string())
        self.faults[f"{name} is missing"] = np.asarray(texts.is_null())
        return np.asarray(texts.fill_null(""))

    def _numbers(self, name: str, kind: str) -> FloatArray:
        column = self._batch[name]
        numbers = to_float64(column)
        unknown = np.isnan(numbers)
        if kind not in _NULLABLE:
            self.faults[f"{name} is missing or not a number"] = unknown
        elif is_text(column.type):
            self.faults[f"{name} is not a number"] = unknown & ~np.asarray(column.is_null())
        if kind in _MAX_EXACT:
            what = "true or false" if kind == "boolean" else "a whole number"
            whole = (np.abs(numbers) <= _MAX_EXACT[kind]) & (np.trunc(numbers) == numbers)
            self.faults[f"{name} is not {what}"] = ~whole
        return numbers
