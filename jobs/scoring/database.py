"""The database of predictions: DuckDB over the files that `score` writes, as they are."""

import glob
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy.typing as npt

import functions.zones
from functions.errors import RidecastError
from functions.rides import NEW_YORK
from jobs.scoring.layout import REJECTED, finished, whole
from jobs.storage.files import FileAccessError
from jobs.storage.gcs import ObjectFiles, address, objects_below

VIEWS = {
    "rides": "One row for each ride, by the newest model version that scored it, with its zones' names.",
    "predictions": "Every prediction of a ride: one row for each model version that scored it.",
    "rejected": "The rides that no model version could predict, as they came, once for each reason.",
    "zones": "New York's taxi zones: LocationID, Borough, Zone, and the centre's longitude and latitude.",
    "tables": "The predictions of tables that are no trips, in their own columns; input is the file's name.",
}
"""What there is to ask."""

_MONTH = r"taxi_type=[^/]+/year=\d{1,4}/month=\d{1,2}/[^/.][^/]*\.parquet"
_FILES = {
    "predictions": re.compile(_MONTH),
    REJECTED: re.compile(f"{REJECTED}/{_MONTH}"),
    "tables": re.compile(r"input=[^/]+/[^/.][^/]*\.parquet"),
}
# What the folders right above a file say. DuckDB's own reading of them takes those above the place as well,
# and fails where a name holds `?` or another `=`.
_OF_A_MONTH = r"""* exclude (file),
    regexp_extract(file, 'taxi_type=([^/]+)/[^/]+/[^/]+/[^/]+$', 1) as taxi_type,
    regexp_extract(file, 'year=(\d+)/[^/]+/[^/]+$', 1)::integer as year,
    regexp_extract(file, 'month=(\d+)/[^/]+$', 1)::integer as month"""
# No table that was scored has a column `input` of its own.
_OF_A_TABLE = "* replace (regexp_extract(input, 'input=([^/]+)/[^/]+$', 1) as input)"
_FROM_FILES = """create view files.{name} as select {columns} from read_parquet(getvariable('{name}'),
    union_by_name = true, hive_partitioning = false, filename = '{file}')"""
_NO_FILES = "create view files.{name} as select null::varchar as model_version where false"
_FETCHED = 1 << 12
"""Rows at a time."""
_ASKS = (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI)
"""DuckDB takes PIVOT for several statements."""


class NoAnswer(RidecastError):
    """What was asked cannot be answered; the text says why."""


class Answer(NamedTuple):
    """Rows as they come, and what their columns are called."""

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]
    """Raises NoAnswer where a file cannot be read."""


class Database:
    """An open database; see `VIEWS`. It reads the files that it was opened on, and writes none."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def ask(self, sql: str) -> Answer:
        """The answer to a query in DuckDB's SQL.

        Raises:
            NoAnswer: it is no query, or DuckDB cannot answer it.
        """
        with _trouble():
            statements = self._connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type not in _ASKS:
                raise NoAnswer(
                    "only questions are answered, one at a time: begin with SELECT, FROM or DESCRIBE"
                )
            self._connection.execute(statements[0])
            columns = [column[0] for column in self._connection.description or ()]
        return Answer(columns, self._rows())

    def columns(self, sql: str) -> dict[str, npt.NDArray[Any]]:
        """The answer to a query of our own as columns, which take less time and memory than rows."""
        with _trouble():
            columns: dict[str, npt.NDArray[Any]] = self._connection.execute(sql).fetchnumpy()  # type: ignore[assignment]
        return columns

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        while True:
            with _trouble():
                rows = self._connection.fetchmany(_FETCHED)
            if not rows:
                return
            yield from rows


@contextmanager
def open_database(place: str) -> Iterator[Database]:
    """The database of the predictions below a folder.

    Args:
        place: what `score --output` was given, a path or `gs://BUCKET/FOLDER`.

    Raises:
        FileAccessError: it cannot be read, holds no predictions, or a damaged file.
    """
    with (
        tempfile.TemporaryDirectory() as spill,  # for what does not fit into memory
        duckdb.connect(config={"temp_directory": spill}) as connection,
    ):
        connection.execute("set timezone = ?", [str(NEW_YORK)])
        files = _find(place, connection)
        if not any(files.values()):
            raise FileAccessError(
                f"{place} holds no predictions as taxi_type=…/year=…/month=…/….parquet: give what "
                "`python -m jobs score --output` was given"
            )
        try:
            _create_views(connection, files)
        except duckdb.Error as error:
            why, _, _ = _sentence(error).partition("\n\n")  # the rest is our own SQL
            raise FileAccessError(
                f"{place} cannot be read as predictions ({why}): score that month again"
            ) from error
        paths = [path for found in files.values() for path in found]
        connection.execute("set allowed_paths = ?", [[*paths, *map(_pattern, paths)]])
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        yield Database(connection)


def _find(place: str, connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """The addresses of the files of each sort, which `views.sql` knows as `files.SORT`."""
    if place.startswith("gs://"):
        blobs = objects_below(place)
        connection.register_filesystem(ObjectFiles(blobs.values()))
        found = {name: address(blob) for name, blob in blobs.items()}
    else:
        root = Path(place)
        names = (path.relative_to(root).as_posix() for path in root.rglob("*.parquet"))
        found = {name: str(root / name) for name in names}
    of_sort = {
        sort: finished(name for name in found if form.fullmatch(name)) for sort, form in _FILES.items()
    }
    # A run has a ride once: what several say of one ride is compared in months of several runs only, which is
    # slow and needs much memory.
    runs = {whole(name.removeprefix(f"{REJECTED}/")) for name in of_sort["predictions"] + of_sort[REJECTED]}
    runs_of = Counter(_month_of(name) for name in runs)
    sorts = {"tables": [found[name] for name in of_sort["tables"]]}
    for sort in ("predictions", REJECTED):
        sorts[f"{sort}_once"] = [found[name] for name in of_sort[sort] if runs_of[_month_of(name)] == 1]
        sorts[f"{sort}_again"] = [found[name] for name in of_sort[sort] if runs_of[_month_of(name)] > 1]
    return sorts


def _month_of(name: str) -> str:
    return name.removeprefix(f"{REJECTED}/").rpartition("/")[0]


def _create_views(connection: duckdb.DuckDBPyConnection, files: dict[str, list[str]]) -> None:
    zones = Path(functions.zones.__file__).with_name("zones.csv")
    connection.execute("create table zones as from read_csv(?)", [str(zones)])
    connection.execute("create schema files")
    for name, found in files.items():
        connection.execute(f"set variable {name} = ?", [[_pattern(path) for path in found]])
        columns, file = (_OF_A_TABLE, "input") if name == "tables" else (_OF_A_MONTH, "file")
        sql = _FROM_FILES if found else _NO_FILES
        connection.execute(sql.format(name=name, columns=columns, file=file))
    connection.execute(Path(__file__).with_name("views.sql").read_text())


def _pattern(path: str) -> str:
    """Takes this file and no other: DuckDB understands `*` in a name, `ObjectFiles` does not."""
    return path if path.startswith("gs://") else glob.escape(path)


@contextmanager
def _trouble() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise NoAnswer(_sentence(error)) from error


def _sentence(error: duckdb.Error) -> str:
    # What `ObjectFiles` raises comes with Python's traceback before it.
    _, raised, sentence = str(error).partition(f"{FileAccessError.__name__}: ")
    return sentence.partition("\n\n")[0] if raised else str(error)
