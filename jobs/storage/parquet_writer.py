"""Writes Parquet batch by batch, in row groups of a size that suits readers, whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.storage.files import trouble_with, writing

GROUP_ROWS = 1 << 17
GROUP_BYTES = 64 << 20
"""Of a row group in the output, at most, which its readers take at a time."""


class RowGroups:
    """Writes batches as row groups of a size that suits their readers."""

    def __init__(self, place: str, file: BinaryIO) -> None:
        self._place = place
        self._file = file
        self._writer: pq.ParquetWriter | None = None
        self._batches: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds rows, all of the same columns."""
        self._batches.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Ends the file, which has its columns from the first batch."""
        if self._batches:
            self._flush()
        if self._writer:
            with trouble_with(self._place):
                self._writer.close()

    def give_up(self) -> None:
        """Leaves the file as it is; else the writer would come back to it when it is forgotten."""
        if self._writer:
            with suppress(Exception):
                self._writer.close()

    def _flush(self) -> None:
        table = pa.Table.from_batches(self._batches)
        self._batches, self._rows, self._bytes = [], 0, 0
        with trouble_with(self._place):
            if self._writer is None:
                self._writer = pq.ParquetWriter(self._file, table.schema)
            self._writer.write_table(table)


@contextmanager
def writing_parquet(place: str) -> Iterator[RowGroups]:
    """A file of batches that is at the place, whole, when the body ends; see `writing`."""
    with writing(place) as file:
        groups = RowGroups(place, file)
        try:
            yield groups
        except BaseException:
            groups.give_up()
            raise
        groups.close()
