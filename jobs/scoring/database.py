"""SQL over predictions: DuckDB views of the files that `score` writes, read where they are."""

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
from jobs.scoring.layout import REJECTED, complete_files, unsharded
from jobs.storage.errors import FileAccessError
from jobs.storage.gcs import blob_uri, list_objects
from jobs.storage.gcs_filesystem import GcsFileSystem
from jobs.ui.hints import job_command

VIEWS = {
    "rides": "One row per ride, from the newest model version that scored it, with its zones' names.",
    "predictions": "Every prediction of a ride: one row per model version that scored it.",
    "rejected": "Rides that no model version could predict, with their original values, once per reason.",
    "zones": "New York's taxi zones: LocationID, Borough, Zone, and the centre's longitude and latitude.",
    "tables": "Predictions of other tables, in the tables' own columns; input is the file's name.",
}
"""The views that can be queried, and what each holds."""

_MONTH = r"taxi_type=[^/]+/year=\d{1,4}/month=\d{1,2}/[^/.][^/]*\.parquet"
_FILES = {
    "predictions": re.compile(_MONTH),
    REJECTED: re.compile(f"{REJECTED}/{_MONTH}"),
    "tables": re.compile(r"input=[^/]+/[^/.][^/]*\.parquet"),
}
# Taken from the folders right above a file. DuckDB's own hive partitioning also reads folders further up, and
# fails if a name holds `?` or another `=`.
_MONTH_COLUMNS = r"""* exclude (file),
    regexp_extract(file, 'taxi_type=([^/]+)/[^/]+/[^/]+/[^/]+$', 1) as taxi_type,
    regexp_extract(file, 'year=(\d+)/[^/]+/[^/]+$', 1)::integer as year,
    regexp_extract(file, 'month=(\d+)/[^/]+$', 1)::integer as month"""
# Scoring refuses tables that have a column `input`, so the name is free.
_TABLE_COLUMNS = "* replace (regexp_extract(input, 'input=([^/]+)/[^/]+$', 1) as input)"
_FROM_FILES = """create view files.{name} as select {columns} from read_parquet(getvariable('{name}'),
    union_by_name = true, hive_partitioning = false, filename = '{file}')"""
_NO_FILES = "create view files.{name} as select null::varchar as model_version where false"
_FETCH_ROWS = 1 << 12
_QUERIES = (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI)
"""DuckDB parses PIVOT as several statements."""


class QueryFailed(RidecastError):
    """A query cannot be answered; the message says why."""


class QueryResult(NamedTuple):
    """Column names, and the rows, which are fetched as they are iterated over."""

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]
    """Raises QueryFailed if a file cannot be read."""


class Database:
    """An open database with the views in `VIEWS`. It reads the files it was opened on and writes nothing."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def query(self, sql: str) -> QueryResult:
        """Runs DuckDB's SQL; raises QueryFailed unless it is a single query that DuckDB can answer."""
        with _translate_errors():
            statements = self._connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type not in _QUERIES:
                raise QueryFailed("only a single query is allowed: begin it with SELECT, FROM or DESCRIBE")
            self._connection.execute(statements[0])
            columns = [column[0] for column in self._connection.description or ()]
        return QueryResult(columns, self._rows())

    def fetch_columns(self, sql: str) -> dict[str, npt.NDArray[Any]]:
        """Runs a trusted query; columns take less time and memory than rows."""
        with _translate_errors():
            columns: dict[str, npt.NDArray[Any]] = self._connection.execute(sql).fetchnumpy()  # type: ignore[assignment]
        return columns

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        while True:
            with _translate_errors():
                rows = self._connection.fetchmany(_FETCH_ROWS)
            if not rows:
                return
            yield from rows


@contextmanager
def open_database(folder: str) -> Iterator[Database]:
    """Opens the predictions below the folder of `score --output`, a path or `gs://`, as a database.

    Raises FileAccessError if it cannot be read, holds no predictions, or holds a damaged file.
    """
    with (
        tempfile.TemporaryDirectory() as spill,  # for queries that do not fit into memory
        duckdb.connect(config={"temp_directory": spill}) as connection,
    ):
        connection.execute("set timezone = ?", [str(NEW_YORK)])
        files = _find_files(folder, connection)
        if not any(files.values()):
            raise FileAccessError(
                f"{folder} holds no predictions as taxi_type=…/year=…/month=…/….parquet: give the folder "
                f"that `{job_command('score --output')}` wrote to"
            )
        try:
            _create_views(connection, files)
        except duckdb.Error as error:
            reason, _, _ = _message(error).partition("\n\n")  # the rest is the view's SQL
            raise FileAccessError(
                f"{folder} cannot be read as predictions ({reason}): score that month again"
            ) from error
        paths = [path for group in files.values() for path in group]
        connection.execute("set allowed_paths = ?", [[*paths, *map(_pattern, paths)]])
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        yield Database(connection)


def _find_files(folder: str, connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """The files for each view `files.NAME` of `views.sql`, by NAME."""
    if folder.startswith("gs://"):
        blobs = list_objects(folder)
        connection.register_filesystem(GcsFileSystem(blobs.values()))
        found = {name: blob_uri(blob) for name, blob in blobs.items()}
    else:
        root = Path(folder)
        names = (path.relative_to(root).as_posix() for path in root.rglob("*.parquet"))
        found = {name: str(root / name) for name in names}
    by_kind = {
        kind: complete_files(name for name in found if pattern.fullmatch(name))
        for kind, pattern in _FILES.items()
    }
    # A run has each ride once: only months with several runs need the slow comparison of their rows.
    runs = {unsharded(name.removeprefix(f"{REJECTED}/")) for kind in by_kind.values() for name in kind}
    run_count = Counter(_month_folder(name) for name in runs)
    groups = {"tables": [found[name] for name in by_kind["tables"]]}
    for kind in ("predictions", REJECTED):
        single = {name: run_count[_month_folder(name)] == 1 for name in by_kind[kind]}
        groups[f"{kind}_single_run"] = [found[name] for name in by_kind[kind] if single[name]]
        groups[f"{kind}_many_runs"] = [found[name] for name in by_kind[kind] if not single[name]]
    return groups


def _month_folder(name: str) -> str:
    return name.removeprefix(f"{REJECTED}/").rpartition("/")[0]


def _create_views(connection: duckdb.DuckDBPyConnection, files: dict[str, list[str]]) -> None:
    zones = Path(functions.zones.__file__).with_name("zones.csv")
    connection.execute("create table zones as from read_csv(?)", [str(zones)])
    connection.execute("create schema files")
    for name, paths in files.items():
        connection.execute(f"set variable {name} = ?", [[_pattern(path) for path in paths]])
        columns, file = (_TABLE_COLUMNS, "input") if name == "tables" else (_MONTH_COLUMNS, "file")
        sql = _FROM_FILES if paths else _NO_FILES
        connection.execute(sql.format(name=name, columns=columns, file=file))
    connection.execute(Path(__file__).with_name("views.sql").read_text())


def _pattern(path: str) -> str:
    """A glob that matches only this file: DuckDB expands `*` in a name, `GcsFileSystem` does not."""
    return path if path.startswith("gs://") else glob.escape(path)


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise QueryFailed(_message(error)) from error


def _message(error: duckdb.Error) -> str:
    # An error that `GcsFileSystem` raised comes after Python's traceback.
    _, raised, message = str(error).partition(f"{FileAccessError.__name__}: ")
    return message.partition("\n\n")[0] if raised else str(error)
