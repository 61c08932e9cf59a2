"""Converts CSV files to Parquet files of text, and finds the types of their columns.

Times stay text: whether 01/02/2021 is in January or in February is not for a CSV reader to guess.
"""

import csv
import gzip
import re
import shutil
import tempfile
import zlib
from collections import Counter
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.storage.errors import FileAccessError, redact_query, translate_errors
from jobs.storage.parquet_writer import open_parquet_writer

BATCH_ROWS = 1 << 15
GZIP_MAGIC = b"\x1f\x8b"
MAX_HEADER_CHARS = 1 << 20
_DELIMITERS = ",;\t|"
_ENDINGS = re.compile(r"\.(csv|tsv|txt)(\.gz)?$", re.IGNORECASE)
# A number with zeros before it, such as 007, is an identifier: as a number it would lose them.
_PATTERNS = (
    (pa.int64(), r"^-?(0|[1-9]\d{0,17})$"),
    (pa.float64(), r"^-?((0|[1-9]\d*)\.\d*|\.\d+|0|[1-9]\d{0,14})([eE][+-]?\d{1,3})?$"),
    (pa.bool_(), r"^(?i:true|false)$"),
)
"""Types of columns → what all their cells must look like, from the narrowest; else a column is text."""
_SQL = """from read_csv($path, auto_detect = false, header = true, columns = $columns, delim = $delimiter,
    quote = '"', escape = '"', nullstr = '', allow_quoted_nulls = true, strict_mode = true)"""
_NOT_UTF8 = (
    "it is not UTF-8; convert the file, for example with `iconv -f latin1 -t utf-8 FILE > NEW.csv`, or "
    "-f utf-16 for text of Excel's"
)
_LINE = re.compile(r"CSV Error on Line: (\d+)")
_CELLS = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")


def is_csv_name(uri: str) -> bool:
    """Whether a file's name says that it is CSV, compressed or not."""
    return bool(_ENDINGS.search(redact_query(uri)))


def convert_csv(uri: str, file: BinaryIO, target: str) -> pa.Schema:
    """Writes the rows of an open CSV file, plain or gzip, to a Parquet file with all cells as text.

    The first row holds the names. Empty cells are null. Columns are separated by a comma, semicolon, tab or
    bar. The result is the type of each column: whole numbers, numbers or booleans if all its cells are, and
    text otherwise; it has no columns, and nothing is written, if the file is empty.

    Args:
        uri: the file's name, for messages.
        target: a path or `gs://` URI.

    Raises:
        FileAccessError: the file is damaged or not CSV; the message says which line.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "input.csv")  # a name that DuckDB cannot take for a pattern or an address
        with translate_errors(uri):
            _copy_plain(uri, file, path)
        names, delimiter = _read_header(uri, path)
        return _convert(uri, path, names, delimiter, target) if names else pa.schema([])


def _copy_plain(uri: str, file: BinaryIO, path: Path) -> None:
    """Makes the uncompressed content available at a path; a plain local file is linked, not copied."""
    compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    file.seek(0)
    if not compressed and "://" not in uri:
        path.symlink_to(Path(uri).absolute())
        return
    stream = gzip.GzipFile(fileobj=file) if compressed else file
    try:
        with path.open("xb") as copy:
            shutil.copyfileobj(stream, copy)
    except (EOFError, zlib.error) as error:
        raise FileAccessError(f"{uri} is not a complete gzip file ({error}): copy it again") from error


def _read_header(uri: str, path: Path) -> tuple[list[str], str]:
    """The names of the columns, and the delimiter; no names if the file is empty.

    A column without a name, which pandas writes for its index, gets the name that pandas gives it.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as text:
        line = text.readline(MAX_HEADER_CHARS)
        if "\N{REPLACEMENT CHARACTER}" in line or "\0" in line:
            raise _invalid(uri, 1, _NOT_UTF8)
        delimiter = max(_DELIMITERS, key=re.sub('"[^"]*"', "", line).count)
        text.seek(0)
        try:
            cells = next(csv.reader(text, delimiter=delimiter), [])
        except csv.Error as error:
            raise _invalid(uri, 1, f"it does not name the columns ({error})") from error
    names = [cell.strip() or f"Unnamed: {index}" for index, cell in enumerate(cells)]
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise FileAccessError(f"{uri} has more than one column {', '.join(twice)}: rename them")
    return names, delimiter


def _convert(uri: str, path: Path, names: list[str], delimiter: str, target: str) -> pa.Schema:
    import duckdb  # only CSV files need it

    found = _TypeFinder(names)
    # Numbered, because DuckDB takes names that differ only in case for the same.
    columns = {str(number): "VARCHAR" for number in range(len(names))}
    parameters = {"path": str(path), "columns": columns, "delimiter": delimiter}
    schema = pa.schema([(name, pa.string()) for name in names])
    with open_parquet_writer(target) as writer, duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set allowed_paths = ?", [[str(path)]])
        connection.execute("set enable_external_access = false")
        writer.write(pa.RecordBatch.from_pylist([], schema))
        try:
            for batch in connection.sql(_SQL, params=parameters).to_arrow_reader(BATCH_ROWS):
                text = pa.RecordBatch.from_arrays([cells.cast(pa.string()) for cells in batch], schema=schema)
                found.add(text)
                writer.write(text)
        except (duckdb.Error, pa.ArrowException) as error:
            raise _explain(uri, str(error)) from error
    return found.schema()


class _TypeFinder:
    """Finds the narrowest type that all cells of each column have."""

    def __init__(self, names: list[str]) -> None:
        self._left = {name: list(_PATTERNS) for name in names}
        """Column → the types that all its cells so far have."""
        self._empty = set(names)

    def add(self, batch: pa.RecordBatch) -> None:
        for name, patterns in self._left.items():
            cells = pc.utf8_trim_whitespace(batch[name].drop_null())
            if len(cells):
                self._empty.discard(name)
            self._left[name] = [
                (dtype, pattern)
                for dtype, pattern in patterns
                if np.asarray(pc.match_substring_regex(cells, pattern)).all()
            ]

    def schema(self) -> pa.Schema:
        return pa.schema([(name, self._type(name)) for name in self._left])

    def _type(self, name: str) -> pa.DataType:
        if name in self._empty:
            return pa.null()
        return next((dtype for dtype, _ in self._left[name]), pa.string())


def _explain(uri: str, message: str) -> FileAccessError:
    """The error for a file that DuckDB cannot parse, whose own message has a dozen lines."""
    line = _LINE.search(message)
    if cells := _CELLS.search(message):
        reason = f"it has {cells[2]} cells, and the first line names {cells[1]} columns"
    elif "unterminated quote" in message:
        reason = 'a quote is not closed, or stands in the middle of a cell; write it as "…""…"'
    elif "unicode" in message:
        reason = _NOT_UTF8
    elif "line size" in message:
        reason = "it is too long; is a quote not closed?"
    else:
        reason = "is the file damaged, or do its lines end in different ways?"
    return _invalid(uri, int(line[1]) if line else 0, reason)


def _invalid(uri: str, line: int, reason: str) -> FileAccessError:
    where = f" in line {line}" if line else ""
    return FileAccessError(f"{redact_query(uri)} is not valid CSV{where}: {reason}")
