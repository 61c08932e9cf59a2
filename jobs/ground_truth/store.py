"""Events of the stream in a DuckDB file: what has been saved survives whatever happens to the process.

An event that comes again changes nothing; of two that say different things of one ride, the one that was
published later counts. The file is open only while something is saved, so that others can read it meanwhile.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from functions.errors import RidecastError
from jobs.events.subscribers import Arrival
from jobs.ground_truth.tables import BAD, KEYS, SCHEMAS, Row, row_of

LOCKED_SECONDS = 60.0
"""How long to wait for another process that has the file open."""
LOOK_SECONDS = 0.05


class StoreFailed(RidecastError):
    """The file with the events cannot be read or written; the text says why, and what to do."""


class Store:
    """A file of events, which is made if it is not there."""

    def __init__(self, path: Path) -> None:
        """Raises StoreFailed where it cannot be made, or is something else."""
        self._path = path
        with self._open() as connection:
            connection.execute(Path(__file__).with_name("store.sql").read_text())

    def save(self, kind: str, arrivals: Sequence[Arrival]) -> None:
        """Keeps events; when this returns, they are on the disk. Bad ones are kept aside with their reason.

        Args:
            kind: `PREDICTIONS` or `ENDED`.

        Raises:
            StoreFailed: nothing was kept.
        """
        rows: dict[str, dict[tuple[str, ...], Row]] = {kind: {}, BAD: {}}
        for arrival in arrivals:
            table, row = row_of(kind, arrival)
            key = tuple(row[name] for name in KEYS[table])
            known = rows[table].get(key)
            if known is None or known["published"] <= row["published"]:
                rows[table][key] = row
        with self._open() as connection, _transaction(connection):
            for table, some in rows.items():
                if some:
                    _upsert(connection, table, list(some.values()))

    def forget(self, days: float) -> None:
        """Drops what was published longer ago.

        Raises:
            StoreFailed: nothing was dropped.
        """
        oldest = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days)
        with self._open() as connection, _transaction(connection):
            for table in KEYS:
                connection.execute(f"delete from {table} where published < ?", [oldest])  # noqa: S608  # ours

    def counts(self) -> dict[str, int]:
        """What there is: rides by what is known of them, and bad events."""
        with self._open() as connection:
            row = connection.execute(
                """select
                    count(distinct ride_id) filter (PULocationID is not null and model_version is not null),
                    count(distinct ride_id) filter (PULocationID is null),
                    count(distinct ride_id) filter (model_version is null),
                    (select count(*) from bad_events)
                from rides_of_the_stream"""
            ).fetchone()
        assert row
        return dict(zip(("joined", "not ended", "without a prediction", "bad events"), row, strict=True))

    @contextmanager
    def _open(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with opened(self._path, read_only=False) as connection:
            yield connection


@contextmanager
def opened(path: Path, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """The file, as soon as no other process has it open for writing.

    Raises:
        StoreFailed: it cannot be opened or used.
    """
    deadline = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            connection = duckdb.connect(path, read_only=read_only)
            break
        except duckdb.Error as error:
            if "lock on file" not in str(error):
                raise StoreFailed(f"{path} cannot be opened as a DuckDB file: {error}") from error
            if time.monotonic() > deadline:
                raise StoreFailed(f"{path} is held by another program: close it. {error}") from error
            time.sleep(LOOK_SECONDS)
    try:
        with connection:
            yield connection
    except duckdb.Error as error:
        raise StoreFailed(f"{path} cannot be used as a file of events: {error}") from error


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    yield  # closed without a commit, nothing has happened
    connection.commit()


def _upsert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[Row]) -> None:
    schema = SCHEMAS[table]
    connection.register("batch", pa.Table.from_pylist(rows, pa.schema(schema)))
    changed = ", ".join(f"{name} = excluded.{name}" for name in schema if name not in KEYS[table])
    insert = f"insert into {table} from batch on conflict ({', '.join(KEYS[table])})"  # ours
    connection.execute(f"{insert} do update set {changed} where excluded.published > {table}.published")
    connection.unregister("batch")
