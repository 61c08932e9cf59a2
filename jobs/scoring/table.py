"""Rows of any table whose columns a model takes."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from functions.model import Model
from jobs.parquet import ParquetSource, is_text, numbers_of
from jobs.scoring.subject import Mask, Numbers, Places, only

_KNOW_NAN = ("float", "double")
"""MLflow's types that have a value for what is not known."""


class ScoredTable:
    """A file whose columns have the names of the model's."""

    def __init__(self, source: ParquetSource, model: Model) -> None:
        self.place, self.rows = source.place, source.rows
        self.partition = (f"input={PurePosixPath(source.place).stem}",)
        self._source = source
        self._model = model

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        return self._source.batches(self._source.names, rows)

    def judge(self, batch: pa.RecordBatch, first: int) -> "TableBatch":
        return TableBatch(batch, self._model)


class TableBatch:
    """Some of its rows."""

    def __init__(self, batch: pa.RecordBatch, model: Model) -> None:
        self._batch = batch
        self._model = model
        self.faults: dict[str, Mask] = {}
        self.mended: Mapping[str, Mask] = {}
        self._table: dict[str, npt.NDArray[Any]] = {}
        for name in model.columns:
            column, kind = batch[name], model.types.get(name)
            absent = column.is_null().to_numpy(zero_copy_only=False)
            if kind == "string" or (kind is None and is_text(column.type)):
                self.faults[f"{name} is missing"] = absent
                texts = column.cast(pa.string()).fill_null("")
                self._table[name] = texts.to_numpy(zero_copy_only=False)
                continue
            numbers = numbers_of(column)
            self._table[name] = numbers
            if kind not in _KNOW_NAN:
                self.faults[f"{name} is missing or no number"] = np.isnan(numbers)
            elif is_text(column.type):
                self.faults[f"{name} is no number"] = np.isnan(numbers) & ~absent

    def table(self, places: Places) -> Mapping[str, npt.NDArray[Any]]:
        return {name: column.take(places) for name, column in self._table.items()}

    def predicted(self, places: Places, numbers: Numbers) -> pa.RecordBatch:
        return (
            only(self._batch, places)
            .append_column(f"predicted_{self._model.target.target}", pa.array(numbers))
            .append_column("model_version", pa.repeat(self._model.version, len(places)))
        )

    def rejected(self, places: Places, reasons: pa.Array) -> pa.RecordBatch:
        return only(self._batch, places).append_column("reason", reasons)

    def actual(self, places: Places) -> Numbers:
        return np.full(len(places), np.nan)
