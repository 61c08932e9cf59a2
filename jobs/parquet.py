"""Parquet files at any place, read in batches that fit into memory; their columns as arrays."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from functions.rides import NEW_YORK, new_york_time
from jobs.places import STEP_BYTES, NoPlace, reading, trouble_with

_PLAIN = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
"""Types of which Arrow cannot take some rows → those that are read instead."""
_NUMBER = r"^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$"


class ParquetSource:
    """An open Parquet file."""

    def __init__(self, place: str, file: pq.ParquetFile) -> None:
        """Raises NoPlace where two columns have one name."""
        self.place = place
        self.schema = _plain(file.schema_arrow)
        self.names: list[str] = self.schema.names
        if twice := sorted(name for name, count in Counter(self.names).items() if count > 1):
            raise NoPlace(f"{place} has more than one column {', '.join(twice)}: rename them")
        self.rows: int = file.metadata.num_rows
        self._file = file

    def batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The named columns, in the order of the file, at most `rows` rows at a time; at least one batch.

        Raises:
            NoPlace: the file breaks off or is damaged.
        """
        if not self.rows:
            fields = [field for field in self.schema if field.name in names]
            yield pa.RecordBatch.from_pylist([], pa.schema(fields))
        batches = self._file.iter_batches(rows, columns=list(names), use_threads=False)
        while True:
            with trouble_with(self.place):
                batch = next(batches, None)
            if batch is None:
                return
            plain = _plain(batch.schema)
            yield batch if plain == batch.schema else batch.cast(plain)


@contextmanager
def open_parquet(place: str) -> Iterator[ParquetSource]:
    """The Parquet file at a path, `gs://` or `https://`.

    Raises:
        NoPlace: there is none that can be read.
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
