"""Events of the stream in a DuckDB file: what has been saved survives whatever happens to the process.

An event that comes again changes nothing; of two that say different things of one ride, the one that was
published later counts. The file is open only while something is saved, so that others can read it meanwhile.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from functions.documents import read_document
from functions.errors import InvalidRide, RidecastError
from jobs.monitoring.events import Predicted, RideEnded, parse_prediction, parse_ride_ended
from jobs.wires import Arrival

LOCKED_SECONDS = 60.0
"""How long to wait for another process that has the file open."""
LOOK_SECONDS = 0.05

PREDICTIONS, ENDED, BAD = "predictions", "ride_ended", "bad_events"
_KEYS = {PREDICTIONS: ("ride_id", "model_version"), ENDED: ("ride_id",), BAD: ("digest",)}
_TIME = pa.timestamp("us")
_SCHEMAS = {
    PREDICTIONS: {
        "ride_id": pa.string(),
        "model_version": pa.string(),
        "predicted_duration": pa.float64(),
        "published": _TIME,
    },
    ENDED: {
        "ride_id": pa.string(),
        "PULocationID": pa.int32(),
        "DOLocationID": pa.int32(),
        "trip_distance": pa.float64(),
        "pickup_datetime": _TIME,
        "dropoff_datetime": _TIME,
        "published": _TIME,
    },
    BAD: {
        "digest": pa.string(),
        "kind": pa.string(),
        "reason": pa.string(),
        "data": pa.binary(),
        "published": _TIME,
    },
}
Row = dict[str, Any]


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
            table, row = _read(kind, arrival)
            key = tuple(row[name] for name in _KEYS[table])
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
            for table in _KEYS:
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
    schema = _SCHEMAS[table]
    connection.register("batch", pa.Table.from_pylist(rows, pa.schema(schema)))
    changed = ", ".join(f"{name} = excluded.{name}" for name in schema if name not in _KEYS[table])
    insert = f"insert into {table} from batch on conflict ({', '.join(_KEYS[table])})"  # ours
    connection.execute(f"{insert} do update set {changed} where excluded.published > {table}.published")
    connection.unregister("batch")


def _read(kind: str, arrival: Arrival) -> tuple[str, Row]:
    """The table in which an event belongs, and its row there."""
    published = datetime.fromtimestamp(arrival.published, UTC).replace(tzinfo=None)
    try:
        return kind, _ROWS[kind](read_document(arrival.data)) | {"published": published}
    except InvalidRide as error:
        digest = hashlib.sha256(kind.encode() + b"\0" + arrival.data).hexdigest()
        aside = {"digest": digest, "kind": kind, "reason": str(error), "data": arrival.data}
        return BAD, aside | {"published": published}


def _predicted(document: object) -> Row:
    said: Predicted = parse_prediction(document)
    return {
        "ride_id": str(said.ride_id),
        "model_version": said.version,
        "predicted_duration": said.minutes,
    }


def _ended(document: object) -> Row:
    event: RideEnded = parse_ride_ended(document)
    ride = event.ride
    return {
        "ride_id": str(event.ride_id),
        "PULocationID": ride.PULocationID,
        "DOLocationID": ride.DOLocationID,
        "trip_distance": ride.trip_distance,
        "pickup_datetime": ride.pickup_datetime,
        "dropoff_datetime": event.dropoff_datetime,
    }


_ROWS: Mapping[str, Callable[[object], Row]] = {PREDICTIONS: _predicted, ENDED: _ended}
