"""Parquet files at any place, read in batches that fit into memory; their columns as arrays."""

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
from jobs.storage.files import STEP_BYTES, FileAccessError, reading, trouble_with

MOST_CUTS = 8
"""Of one row group: to cut it further costs more reading than it saves."""
_PLAIN = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
"""Types of which Arrow cannot take some rows → those that are read instead."""
_NUMBER = r"^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$"


class Part(NamedTuple):
    """Rows of a file that lie behind each other."""

    first: int
    """Where they begin in the file."""
    rows: int
    groups: tuple[int, ...]
    """The row groups that hold them."""
    skip: int
    """Rows of the first of these groups that lie before them."""


class ParquetSource:
    """An open Parquet file."""

    def __init__(self, place: str, file: pq.ParquetFile) -> None:
        """Raises FileAccessError where two columns have one name."""
        self.place = place
        self.schema = _plain(file.schema_arrow)
        self.names: list[str] = self.schema.names
        if twice := sorted(name for name, count in Counter(self.names).items() if count > 1):
            raise FileAccessError(f"{place} has more than one column {', '.join(twice)}: rename them")
        self.rows: int = file.metadata.num_rows
        self._file = file

    def parts(self, rows: int) -> list[Part]:
        """The file in parts of at most so many rows, where its row groups allow that; at least one part.

        Small row groups go together. A large one is cut, but into few parts: each is found by reading what
        lies before it in its group.
        """
        whole = self._file.metadata
        parts: list[Part] = []
        first = 0
        for group in range(whole.num_row_groups):
            size = whole.row_group(group).num_rows
            cuts = min(-(-size // rows), MOST_CUTS) or 1
            before = parts[-1] if parts else None
            if before and cuts == 1 and before.skip == 0 and before.rows + size <= rows:
                parts[-1] = before._replace(rows=before.rows + size, groups=(*before.groups, group))
            else:
                ends = [size * number // cuts for number in range(cuts + 1)]
                parts += [Part(first + a, b - a, (group,), a) for a, b in pairwise(ends)]
            first += size
        return parts or [Part(0, 0, (), 0)]

    def batches(self, names: Sequence[str], rows: int, part: Part | None = None) -> Iterator[pa.RecordBatch]:
        """The named columns, in the order of the file, at most `rows` rows at a time; at least one batch.

        Args:
            part: of the file, as `parts` gives it; None is the whole.

        Raises:
            FileAccessError: the file breaks off or is damaged.
        """
        if not (part.rows if part else self.rows):
            fields = [field for field in self.schema if field.name in names]
            yield pa.RecordBatch.from_pylist([], pa.schema(fields))
            return
        groups = part.groups if part else None
        batches = self._file.iter_batches(rows, row_groups=groups, columns=list(names), use_threads=False)
        skip, left = (part.skip, part.rows) if part else (0, self.rows)
        while left:
            with trouble_with(self.place):
                batch = next(batches, None)
            if batch is None:
                raise FileAccessError(f"{self.place} has fewer rows than it says: give a whole Parquet file")
            skipped = min(skip, batch.num_rows)
            skip -= skipped
            batch = batch.slice(skipped, left)
            left -= batch.num_rows
            if batch.num_rows:
                plain = _plain(batch.schema)
                yield batch if plain == batch.schema else batch.cast(plain)


@contextmanager
def open_parquet(place: str) -> Iterator[ParquetSource]:
    """The Parquet file at a path, `gs://` or `https://`.

    Raises:
        FileAccessError: there is none that can be read.
    """
    with reading(place) as file:
        with trouble_with(place):
            # Buffered, so that a row group of any size is read in steps.
            parquet = pq.ParquetFile(file, buffer_size=STEP_BYTES, pre_buffer=False)
        with parquet:
            yield ParquetSource(place, parquet)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    kind = _valued(kind)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds what `numbers_of` takes and is not text; true is 1, false is 0."""
    kind = _valued(kind)
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    return any(test(kind) for test in (*tests, pa.types.is_null))


def numbers_of(column: pa.Array) -> npt.NDArray[np.float64]:
    """A column of numbers, or of text that holds them; NaN where there is none."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_text(column.type):
        text = pc.utf8_trim_whitespace(column)
        column = pc.if_else(pc.match_substring_regex(text, _NUMBER), text, None)
    # Unsafe only in that a whole number beyond 2^53 becomes the nearest that there is.
    numbers: npt.NDArray[Any] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def times_of(column: pa.Array) -> npt.NDArray[np.datetime64]:
    """A column of times, or of text that holds them: microseconds on New York's clock, or NaT.

    Raises:
        pyarrow.ArrowException: the type holds no times.
    """
    kind = column.type
    if is_text(kind):
        return np.array([_time_of(text) for text in column.to_pylist()], "datetime64[us]")
    if pa.types.is_timestamp(kind) and kind.tz:
        # Knows time zones on every system; Arrow asks the system for them.
        import pandas as pd

        utc = column.cast(pa.timestamp("us", "UTC"), safe=False).to_numpy(zero_copy_only=False)
        local = pd.DatetimeIndex(utc, tz="UTC").tz_convert(NEW_YORK).tz_localize(None)
        return local.to_numpy("datetime64[us]")
    if not (pa.types.is_temporal(kind) or pa.types.is_null(kind)):
        raise pa.ArrowTypeError(f"{kind} where times must be")
    times: npt.NDArray[np.datetime64] = column.cast(pa.timestamp("us"), safe=False).to_numpy(
        zero_copy_only=False
    )
    return times


def _time_of(text: str | None) -> datetime | None:
    try:
        return new_york_time(text)
    except ValueError:
        return None


def _plain(schema: pa.Schema) -> pa.Schema:
    for place, field in enumerate(schema):
        if field.type in _PLAIN:
            schema = schema.set(place, field.with_type(_PLAIN[field.type]))
    return schema


def _valued(kind: pa.DataType) -> pa.DataType:
    """The type of the values of a column, however they are encoded."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind
