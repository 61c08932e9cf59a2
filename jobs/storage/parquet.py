"""Reads Parquet files in batches that fit into memory."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.storage.errors import FileAccessError, translate_errors
from jobs.storage.files import open_read
from jobs.storage.gcs import CHUNK_BYTES

MAX_SPLITS = 8
"""Pieces of one row group: splitting it further costs more reading than it saves."""
_REPLACED_TYPES = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
"""Types for which Arrow does not implement `take` → the types that are read instead."""


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
        self.schema: pa.Schema = _replace_types(file.schema_arrow)
        if duplicates := sorted(name for name, count in Counter(self.schema.names).items() if count > 1):
            raise FileAccessError(f"{uri} has more than one column {', '.join(duplicates)}: rename them")
        metadata = file.metadata
        self.group_rows = tuple(
            metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)
        )
        """Number of rows in each row group."""
        self._file = file

    def batches(self, names: Sequence[str], max_rows: int, row_range: RowRange) -> Iterator[pa.RecordBatch]:
        """The named columns, in the file's order, at most `max_rows` rows at a time, none of them empty.

        Args:
            row_range: one of those that `split_groups` returns for this file.

        Raises:
            FileAccessError: the file is truncated or damaged.
        """
        skip, remaining = row_range.skip, row_range.rows
        batches = self._file.iter_batches(
            max_rows, row_groups=row_range.groups, columns=list(names), use_threads=False
        )
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
def open_parquet(uri: str, name: str = "") -> Iterator[ParquetSource]:
    """Opens a Parquet file at a path, `gs://` or `https://`.

    Args:
        name: how messages call the file, if it is a copy of another.

    Raises:
        FileAccessError: it cannot be read.
    """
    with open_read(uri) as file:
        with translate_errors(name or uri):
            # Buffered, so that a row group of any size is read in chunks.
            parquet = pq.ParquetFile(file, buffer_size=CHUNK_BYTES, pre_buffer=False)
        with parquet:
            yield ParquetSource(name or uri, parquet)


def split_groups(group_rows: Sequence[int], max_rows: int) -> list[RowRange]:
    """Row ranges of at most `max_rows` rows each, where the row groups allow that; none without row groups.

    Small row groups are merged. A large one is split, but into few ranges: reading a range means reading
    everything before it in its group.

    Args:
        group_rows: number of rows in each row group.
    """
    ranges: list[RowRange] = []
    first = 0
    for group, rows in enumerate(group_rows):
        splits = min(-(-rows // max_rows), MAX_SPLITS) or 1
        last = ranges[-1] if ranges else None
        if last and splits == 1 and last.skip == 0 and last.rows + rows <= max_rows:
            ranges[-1] = last._replace(rows=last.rows + rows, groups=(*last.groups, group))
        else:
            bounds = [rows * number // splits for number in range(splits + 1)]
            ranges += [RowRange(first + a, b - a, (group,), a) for a, b in pairwise(bounds)]
        first += rows
    return ranges


def _replace_types(schema: pa.Schema) -> pa.Schema:
    for index, field in enumerate(schema):
        if field.type in _REPLACED_TYPES:
            schema = schema.set(index, field.with_type(_REPLACED_TYPES[field.type]))
    return schema
