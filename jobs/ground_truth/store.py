"""Stores the stream's events in a DuckDB file; saved events survive a crash of the process.

Saving is idempotent: a duplicate changes nothing, and of two different events about one ride the one
published later wins. The file is open only while events are saved, so other programs can read it in between.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from functions.errors import RidecastError
from jobs.events.subscribers import ReceivedMessage
from jobs.ground_truth.tables import BAD_EVENTS, KEYS, Row, to_row

LOCK_TIMEOUT_SECONDS = 60.0
"""How long to wait for another process that has the file open."""
LOCK_POLL_SECONDS = 0.05
_COUNTS = """
select
    count(distinct ride_id) filter (PULocationID is not null and model_version is not null) as joined,
    count(distinct ride_id) filter (PULocationID is null) as "not ended",
    count(distinct ride_id) filter (model_version is null) as "without a prediction",
    (select count(*) from bad_events) as "bad events"
from rides_of_the_stream
"""


class StoreFailed(RidecastError):
    """The DuckDB file of events cannot be read or written; the message gives cause and remedy."""


class EventStore:
    """A DuckDB file of events, created if it does not exist."""

    def __init__(self, path: Path) -> None:
        """Raises StoreFailed if the file cannot be created or is not a DuckDB file."""
        self._path = path
        with connect(self._path) as connection:
            connection.execute(Path(__file__).with_name("store.sql").read_text())

    def save(self, kind: str, messages: Sequence[ReceivedMessage]) -> None:
        """Saves events durably; invalid ones go to the table `bad_events` with the reason.

        `kind` is `PREDICTIONS` or `RIDE_ENDED`. If it raises StoreFailed, nothing was saved.
        """
        rows: dict[str, dict[tuple[str, ...], Row]] = {kind: {}, BAD_EVENTS: {}}
        for message in messages:
            table, row = to_row(kind, message)
            key = tuple(row[name] for name in KEYS[table])
            previous = rows[table].get(key)
            if previous is None or previous["published"] <= row["published"]:
                rows[table][key] = row
        with connect(self._path) as connection, _transaction(connection):
            for table, table_rows in rows.items():
                if table_rows:
                    _upsert(connection, table, list(table_rows.values()))

    def delete_older_than(self, days: float) -> None:
        """Deletes events published more than `days` ago; if it raises StoreFailed, nothing was deleted."""
        oldest = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days)
        with connect(self._path) as connection, _transaction(connection):
            for table in KEYS:
                connection.execute(f"delete from {table} where published < ?", [oldest])  # noqa: S608

    def counts(self) -> dict[str, int]:
        """Numbers of rides, by which of their events have arrived, and of bad events."""
        with connect(self._path) as connection:
            (row,) = connection.sql(_COUNTS).to_arrow_table().to_pylist()
        counts: dict[str, int] = row
        return counts


@contextmanager
def connect(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens the file as soon as no other process holds its lock; raises StoreFailed if it is unusable."""
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    while True:
        try:
            connection = duckdb.connect(path, read_only=read_only)
            break
        except duckdb.Error as error:
            if "lock on file" not in str(error):
                raise StoreFailed(f"{path} cannot be opened as a DuckDB file: {error}") from error
            if time.monotonic() > deadline:
                raise StoreFailed(f"{path} is locked by another program: close it. {error}") from error
            time.sleep(LOCK_POLL_SECONDS)
    try:
        with connection:
            yield connection
    except duckdb.Error as error:
        raise StoreFailed(f"{path} is not a usable file of events: {error}") from error


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    yield  # an exception skips the commit, and closing rolls back
    connection.commit()


def _upsert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[Row]) -> None:
    connection.register("batch", pa.Table.from_pylist(rows))
    changed = ", ".join(f"{name} = excluded.{name}" for name in rows[0] if name not in KEYS[table])
    insert = f"insert into {table} by name from batch on conflict ({', '.join(KEYS[table])})"
    connection.execute(f"{insert} do update set {changed} where excluded.published > {table}.published")
    connection.unregister("batch")
