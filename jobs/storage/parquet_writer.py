"""Writes Parquet batch by batch, in row groups of a convenient size for readers, atomically."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.storage.atomic import atomic_write
from jobs.storage.errors import translate_errors

MAX_GROUP_ROWS = 1 << 17
MAX_GROUP_BYTES = 64 << 20
"""Readers load a row group at a time."""


class RowGroupWriter:
    """Collects batches into row groups and writes them."""

    def __init__(self, uri: str, file: BinaryIO) -> None:
        self._uri = uri
        self._file = file
        self._writer: pq.ParquetWriter | None = None
        self._batches: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds rows; all batches must have the same schema."""
        self._batches.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= MAX_GROUP_ROWS or self._bytes >= MAX_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Writes the remaining rows and the file's metadata; the first batch determines the schema."""
        if self._batches:
            self._flush()
        if self._writer:
            with translate_errors(self._uri):
                self._writer.close()

    def abort(self) -> None:
        """Detaches the writer, which would otherwise write to the file when it is garbage-collected."""
        if self._writer:
            with suppress(Exception):
                self._writer.close()

    def _flush(self) -> None:
        table = pa.Table.from_batches(self._batches)
        self._batches, self._rows, self._bytes = [], 0, 0
        with translate_errors(self._uri):
            if self._writer is None:
                self._writer = pq.ParquetWriter(self._file, table.schema)
            self._writer.write_table(table)


@contextmanager
def open_parquet_writer(uri: str) -> Iterator[RowGroupWriter]:
    """A Parquet file that appears at the URI, complete, when the body ends; see `atomic_write`."""
    with atomic_write(uri) as file:
        writer = RowGroupWriter(uri, file)
        try:
            yield writer
        except BaseException:
            writer.abort()
            raise
        writer.close()
