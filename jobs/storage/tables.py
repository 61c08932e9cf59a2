"""Tables in files of all forms that people have: Parquet, CSV, or a folder or pattern of such files."""

import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from glob import has_magic
from typing import BinaryIO

import pyarrow as pa

from jobs.storage.atomic import atomic_write
from jobs.storage.columns import common_type, convert, is_text
from jobs.storage.csv_files import GZIP_MAGIC, convert_csv, is_csv_name
from jobs.storage.errors import FileAccessError, redact_query, translate_errors
from jobs.storage.files import basename, exists, glob, is_folder, join, list_names, open_read
from jobs.storage.parquet import RowRange, open_parquet, split_groups

PARQUET_MAGIC = b"PAR1"
_ARCHIVE_MAGIC = b"PK\x03\x04"
_WEB = ("https://", "http://")


@dataclass(frozen=True)
class TablePart:
    """A file with some of a table's rows."""

    uri: str
    """As the user knows it."""
    parquet: str
    """The Parquet file to read: the same, or a converted or downloaded copy."""
    stored: pa.Schema
    """The types in the Parquet file."""
    schema: pa.Schema
    """The types that the values have: those of a CSV file are stored as text."""
    group_rows: tuple[int, ...]
    """Number of rows in each row group."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """The table's name for a column → this file's name, which may be in another case."""

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(self.group_rows)


@dataclass(frozen=True)
class Table:
    """The rows of one file, or of several, one after the other. It can be sent to another process."""

    uri: str
    """A file, folder or pattern, as the user gave it."""
    schema: pa.Schema
    """The columns of all parts. If their types differ, a type that holds the values of all."""
    parts: tuple[TablePart, ...]

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        names: list[str] = self.schema.names
        return names

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(part.rows for part in self.parts)

    def require(self, names: Collection[str]) -> None:
        """Raises FileAccessError if a part lacks one of these columns, which others have."""
        for part in self.parts:
            if missing := [name for name in names if name not in part.columns]:
                raise FileAccessError(
                    f"{part.uri} has no column {' and no '.join(missing)}, unlike other files of {self.uri}"
                )

    def keep_text(self, names: Collection[str]) -> "Table":
        """The same table, with these columns of CSV files exactly as they are written."""
        schema = self.schema
        for name in names:
            stored = [
                part.stored.field(part.columns[name]).type for part in self.parts if name in part.columns
            ]
            if all(map(is_text, stored)):
                schema = schema.set(schema.get_field_index(name), pa.field(name, pa.string()))
        return replace(self, schema=schema)

    def split(self, max_rows: int) -> list[tuple["Table", RowRange]]:
        """Row ranges as of `split_groups`, each with a table of the one part that holds it; at least one.

        The first row is counted from the beginning of the whole table.
        """
        ranges = []
        first = 0
        for part in self.parts:
            alone = replace(self, parts=(part,))
            ranges += [
                (alone, each._replace(first=first + each.first))
                for each in split_groups(part.group_rows, max_rows)
            ]
            first += part.rows
        return ranges or [(replace(self, parts=self.parts[:1]), RowRange(0, 0, (), 0))]

    def batches(
        self, names: Sequence[str], max_rows: int, row_range: RowRange | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The named columns, in the table's order, at most `max_rows` rows at a time; at least one batch.

        Args:
            row_range: one of those that `split` returns with this table; None reads all rows.

        Raises:
            FileAccessError: a file is truncated or damaged, or has changed since the table was opened.
        """
        schema = pa.schema([each for each in self.schema if each.name in names], self.schema.metadata)
        empty = True
        for part in self.parts:
            rows = row_range or RowRange(0, part.rows, tuple(range(len(part.group_rows))), 0)
            if not rows.rows:
                continue
            empty = False
            own = {name: part.columns[name] for name in schema.names if name in part.columns}
            with open_parquet(part.parquet, part.uri) as source:
                if source.group_rows != part.group_rows or not source.schema.equals(part.stored):
                    raise FileAccessError(f"{part.uri} was replaced while it was read: try again")
                for batch in source.batches(list(own.values()), max_rows, rows):
                    with translate_errors(part.uri):
                        conforming = _conform(batch, schema, own)
                    yield conforming
        if empty:
            yield pa.RecordBatch.from_pylist([], schema)


@contextmanager
def open_table(uri: str, scratch: str = "") -> Iterator[Table]:
    """Opens a Parquet or CSV file at a path, `gs://` or `https://`, or several of them as one table.

    Several are the files directly in a folder, or those that a pattern with `*` or `?` matches, in the order
    of their names. Hidden files, `_SUCCESS` and the like do not count.

    Args:
        scratch: an existing folder, a path or `gs://`, for copies of files that have to be converted or
            downloaded, which stay there; if empty, they are removed at the end.

    Raises:
        FileAccessError: a file is missing, forbidden, or neither Parquet nor CSV.
    """
    with nullcontext(scratch) if scratch else tempfile.TemporaryDirectory() as folder:
        found = [part for file in find_files(uri) if (part := _open_part(file, folder))]
        if not found:
            raise FileAccessError(f"{redact_query(uri)} is empty: give a file with column names and rows")
        yield _join(redact_query(uri), found)


def find_files(uri: str) -> list[str]:
    """The files of a table: the URI itself, those directly in a folder, or those that a pattern matches.

    Raises:
        FileAccessError: there is none, or the URI is of a kind that cannot be read.
    """
    if uri.startswith(_WEB):
        return [uri]
    if "://" in uri and not uri.startswith("gs://"):
        raise FileAccessError(f"{uri} cannot be read: give a path, gs://… or https://…, or download it first")
    if is_folder(uri):
        files = [join(uri, name) for name in sorted(list_names(uri)) if _is_data(name)]
        if is_folder(join(uri, "_delta_log")):
            raise FileAccessError(
                f"{uri} is a Delta table, whose folder also holds deleted rows: export it as Parquet"
            )
    elif has_magic(uri) and not exists(uri):
        files = [file for file in glob(uri) if _is_data(basename(file))]
    else:
        return [uri]
    if not files:
        raise FileAccessError(
            f"{uri} holds no Parquet or CSV files: give a file, their folder, or a pattern such as "
            f"{join(uri, '*', '*.parquet') if not has_magic(uri) else 'FOLDER/*.parquet'}"
        )
    return files


def require_exists(*uris: str) -> None:
    """Raises FileAccessError for the first that is missing; asks nothing about web addresses."""
    for uri in uris:
        if find_files(uri) == [uri] and not uri.startswith(_WEB) and not exists(uri):
            raise FileAccessError(f"{uri} does not exist: give the path of a file")


def _is_data(name: str) -> bool:
    return bool(name) and not name.startswith(("_", ".")) and not name.endswith(".crc")


def _open_part(uri: str, folder: str) -> TablePart | None:
    """A file of a table; None if it is empty, as some parts that Spark writes are."""
    parquet, name = uri, redact_query(uri)
    is_parquet = name.endswith(".parquet")
    if not is_parquet or uri.startswith(_WEB):
        copy = join(folder, f"{secrets.token_hex(8)}.parquet")
        with open_read(uri) as file:
            with translate_errors(uri):
                start = file.read(len(PARQUET_MAGIC))
                file.seek(0)
            if not (is_parquet or start == PARQUET_MAGIC):
                return _open_csv(uri, file, start, copy)
            if uri.startswith(_WEB):
                parquet = copy
                with atomic_write(copy) as written, translate_errors(copy):
                    shutil.copyfileobj(file, written)
    with open_parquet(parquet, name) as source:
        return TablePart(name, parquet, source.schema, source.schema, source.group_rows)


def _open_csv(uri: str, file: BinaryIO, start: bytes, copy: str) -> TablePart | None:
    name = redact_query(uri)
    if start == _ARCHIVE_MAGIC:
        raise FileAccessError(
            f"{name} is a ZIP archive or an Excel workbook: unpack it, or save the sheet as CSV"
        )
    if start and not (is_csv_name(uri) or start.startswith(GZIP_MAGIC)):
        raise FileAccessError(
            f"{name} is neither Parquet nor CSV: give a complete Parquet file, or a CSV file whose name ends "
            "in .csv or .csv.gz"
        )
    schema = convert_csv(uri, file, copy)
    if not schema.names:
        return None
    with open_parquet(copy, name) as source:
        return TablePart(name, copy, source.schema, schema, source.group_rows)


def _join(uri: str, parts: Sequence[TablePart]) -> Table:
    """One table of all parts, with the columns of all."""
    names: list[str] = []
    joined = []
    for part in parts:
        own: dict[str, str] = {}
        for name in part.schema.names:
            twins = [each for each in names if each.lower() == name.lower()]
            free = [each for each in twins if each not in part.schema.names and each not in own]
            known = name if name in names else next(iter(free), "")
            if not known:
                names.append(name)
            own[known or name] = name
        joined.append(replace(part, columns=own))
    first = parts[0].schema
    if all(part.schema.equals(first) for part in parts):
        return Table(uri, first, tuple(joined))
    fields = []
    for name in names:
        types = [part.schema.field(part.columns[name]).type for part in joined if name in part.columns]
        fields.append(pa.field(name, common_type(types)))
    return Table(uri, pa.schema(fields), tuple(joined))


def _conform(batch: pa.RecordBatch, schema: pa.Schema, own: Mapping[str, str]) -> pa.RecordBatch:
    """A batch of a part with the table's columns; those that the part lacks are null."""
    if batch.schema.equals(schema):
        return batch
    columns = [
        convert(batch[own[each.name]], each.type) if each.name in own else pa.nulls(batch.num_rows, each.type)
        for each in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
