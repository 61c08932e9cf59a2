"""Reads Parquet files in batches that fit into memory, and their columns as arrays."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from functions.rides import NEW_YORK, new_york_time
from jobs.storage.errors import FileAccessError, translate_errors
from jobs.storage.files import open_read
from jobs.storage.gcs import CHUNK_BYTES

MAX_SPLITS = 8
"""Pieces of one row group: splitting it further costs more reading than it saves."""
_REPLACED_TYPES = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
"""Types for which Arrow does not implement `take` → the types that are read instead."""
_NUMBER = r"^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$"


class RowRange(NamedTuple):
    """Consecutive rows of a file."""

    first: int
    """Index of the first row in the file."""
    rows: int
    groups: tuple[int, ...]
    """The row groups that contain them."""
    skip: int
    """Rows of the first of these groups that come before them."""


class ParquetSource:
    """An open Parquet file."""

    def __init__(self, uri: str, file: pq.ParquetFile) -> None:
        """Raises FileAccessError if two columns have the same name."""
        self.uri = uri
        self.schema = _replace_types(file.schema_arrow)
        self.names: list[str] = self.schema.names
        if duplicates := sorted(name for name, count in Counter(self.names).items() if count > 1):
            raise FileAccessError(f"{uri} has more than one column {', '.join(duplicates)}: rename them")
        self.rows: int = file.metadata.num_rows
        self._file = file

    def split(self, max_rows: int) -> list[RowRange]:
        """Row ranges of at most `max_rows` rows each, where the row groups allow that; at least one range.

        Small row groups are merged. A large one is split, but into few ranges: reading a range means reading
        everything before it in its group.
        """
        metadata = self._file.metadata
        ranges: list[RowRange] = []
        first = 0
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            splits = min(-(-rows // max_rows), MAX_SPLITS) or 1
            last = ranges[-1] if ranges else None
            if last and splits == 1 and last.skip == 0 and last.rows + rows <= max_rows:
                ranges[-1] = last._replace(rows=last.rows + rows, groups=(*last.groups, group))
            else:
                bounds = [rows * number // splits for number in range(splits + 1)]
                ranges += [RowRange(first + a, b - a, (group,), a) for a, b in pairwise(bounds)]
            first += rows
        return ranges or [RowRange(0, 0, (), 0)]

    def batches(
        self, names: Sequence[str], max_rows: int, row_range: RowRange | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The named columns, in the file's order, at most `max_rows` rows at a time; at least one batch.

        Args:
            row_range: one of those that `split` returns; None reads the whole file.

        Raises:
            FileAccessError: the file is truncated or damaged.
        """
        skip, remaining = (row_range.skip, row_range.rows) if row_range else (0, self.rows)
        if not remaining:
            fields = [field for field in self.schema if field.name in names]
            yield pa.RecordBatch.from_pylist([], pa.schema(fields))
            return
        groups = row_range.groups if row_range else None
        batches = self._file.iter_batches(max_rows, row_groups=groups, columns=list(names), use_threads=False)
        while remaining:
            with translate_errors(self.uri):
                batch = next(batches, None)
            if batch is None:
                raise FileAccessError(
                    f"{self.uri} has fewer rows than its metadata says: give a complete Parquet file"
                )
            skipped = min(skip, batch.num_rows)
            skip -= skipped
            batch = batch.slice(skipped, remaining)
            remaining -= batch.num_rows
            if batch.num_rows:
                schema = _replace_types(batch.schema)
                yield batch if schema == batch.schema else batch.cast(schema)


@contextmanager
def open_parquet(uri: str) -> Iterator[ParquetSource]:
    """Opens a Parquet file at a path, `gs://` or `https://`.

    Raises:
        FileAccessError: it cannot be read.
    """
    with open_read(uri) as file:
        with translate_errors(uri):
            # Buffered, so that a row group of any size is read in chunks.
            parquet = pq.ParquetFile(file, buffer_size=CHUNK_BYTES, pre_buffer=False)
        with parquet:
            yield ParquetSource(uri, parquet)


def is_text(dtype: pa.DataType) -> bool:
    """Whether a column of this type contains text."""
    dtype = _value_type(dtype)
    return bool(pa.types.is_string(dtype) or pa.types.is_large_string(dtype))


def is_number(dtype: pa.DataType) -> bool:
    """Whether `to_float64` takes a column of this type, other than text; true is 1, false is 0."""
    dtype = _value_type(dtype)
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    return any(test(dtype) for test in (*tests, pa.types.is_null))


def to_float64(column: pa.Array) -> npt.NDArray[np.float64]:
    """A column of numbers, or of text with numbers, as [n]; NaN where there is none."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_text(column.type):
        text = pc.utf8_trim_whitespace(column)
        column = pc.if_else(pc.match_substring_regex(text, _NUMBER), text, None)
    # Unsafe only in that an integer beyond 2^53 becomes the nearest double.
    numbers: npt.NDArray[Any] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def to_datetime64(column: pa.Array) -> npt.NDArray[np.datetime64]:
    """Times, or text with times, as [n] in microseconds of New York time; NaT where there is none.

    Raises:
        pyarrow.ArrowException: the column's type cannot hold times.
    """
    dtype = column.type
    if is_text(dtype):
        return np.array([_parse_time(text) for text in column.to_pylist()], "datetime64[us]")
    if pa.types.is_timestamp(dtype) and dtype.tz:
        # pandas has its own time zone data; Arrow needs the system's.
        import pandas as pd

        utc = column.cast(pa.timestamp("us", "UTC"), safe=False).to_numpy(zero_copy_only=False)
        local = pd.DatetimeIndex(utc, tz="UTC").tz_convert(NEW_YORK).tz_localize(None)
        return local.to_numpy("datetime64[us]")
    if not (pa.types.is_temporal(dtype) or pa.types.is_null(dtype)):
        raise pa.ArrowTypeError(f"expected times, not {dtype}")
    times: npt.NDArray[np.datetime64] = column.cast(pa.timestamp("us"), safe=False).to_numpy(
        zero_copy_only=False
    )
    return times


def _parse_time(text: str | None) -> datetime | None:
    try:
        return new_york_time(text)
    except ValueError:
        return None


def _replace_types(schema: pa.Schema) -> pa.Schema:
    for index, field in enumerate(schema):
        if field.type in _REPLACED_TYPES:
            schema = schema.set(index, field.with_type(_REPLACED_TYPES[field.type]))
    return schema


def _value_type(dtype: pa.DataType) -> pa.DataType:
    """The type of a column's values, without dictionary encoding."""
    return dtype.value_type if pa.types.is_dictionary(dtype) else dtype
