"""The BigQuery view, translated for DuckDB, gives the same rides as `collect` from the same events."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from jobs.events.subscribers import ReceivedMessage
from jobs.ground_truth.store import EventStore
from jobs.ground_truth.tables import PREDICTIONS, RIDE_ENDED
from jobs.monitoring.stream_source import COLUMNS, VIEW, read_stream

sqlglot = pytest.importorskip("sqlglot", reason="translates BigQuery's SQL")
SQL = Path("infra/sql/rides_of_the_stream.sql")
NOON = datetime(2021, 3, 2, 12, tzinfo=UTC).timestamp()
RIDE = {
    "PULocationID": 130,
    "DOLocationID": 205,
    "trip_distance": 3.66,
    "pickup_datetime": "2021-03-01T00:00:00",
}


def predicted(ride_id, minutes=20.0, version="1", at=0.0):
    body = {"model": "m", "version": version, "prediction": {"ride_duration": minutes, "ride_id": ride_id}}
    return PREDICTIONS, ReceivedMessage(json.dumps(body).encode(), {}, NOON + at)


def ended(ride_id, at=0.0, dropoff="2021-03-01T00:21:00", **changes):
    body = {"ride_id": ride_id, "ride": RIDE | changes, "dropoff_datetime": dropoff}
    return RIDE_ENDED, ReceivedMessage(json.dumps(body).encode(), {}, NOON + at)


def tlc_record(ride_id, **times):
    record = {"PULocationID": 130, "DOLocationID": 205, "trip_miles": 3.66} | times
    return RIDE_ENDED, ReceivedMessage(json.dumps({"ride_id": ride_id, "ride": record}).encode(), {}, NOON)


EVENTS = [
    predicted(1),
    predicted(1),
    predicted(1, 30.0, at=5.5),
    predicted(1, 40.0, "m-2"),
    predicted("1 more", 0),
    predicted("no number", "long"),
    predicted(None),
    ended(1),
    ended("1 more", 9.0, trip_distance=2),
    ended("1 more", 3.0, trip_distance=1),
    ended("without a prediction", PULocationID="130", DOLocationID=205.0),
    ended("zone", PULocationID=999),
    ended("half a zone", DOLocationID=1.5),
    ended("far", trip_distance=100.5),
    ended("backwards", trip_distance="-3"),
    ended("text", trip_distance=" 3.66 "),
    ended("no distance", trip_distance=None),
    ended("not a number", trip_distance="NaN"),
    ended("not read", trip_distance="n/a"),
    tlc_record(
        "green", lpep_pickup_datetime="2021-03-01 00:00:00", lpep_dropoff_datetime="2021-03-01 00:21:00"
    ),
    tlc_record(
        "export",
        tpep_pickup_datetime="03/01/2021 12:00:00 AM",
        tpep_dropoff_datetime="03/01/2021 12:21:00 AM",
    ),
    tlc_record(
        "day first", tpep_pickup_datetime="03/01/2021 00:00", tpep_dropoff_datetime="03/01/2021 00:21"
    ),
    ended("no pick-up", pickup_datetime=None),
    ended("no end", dropoff=None),
    ended("odd end", dropoff="soon"),
    ended("utc", pickup_datetime="2021-03-01T05:00:00Z", dropoff="2021-03-01T05:21:00.5+00:00"),
    ended("offset", pickup_datetime="2021-07-01T00:00:00-04:00", dropoff="2021-07-01 00:30:00-04:00"),
    ended(None),
]


@pytest.mark.parametrize("kind", ["varchar", "json"])
def test_bigquery_and_duckdb_see_the_same_rides(kind, tmp_path) -> None:
    store = EventStore(tmp_path / "stream.duckdb")
    for table, message in EVENTS:
        store.save(table, [message])
    sql = SQL.read_text().replace("${project}", "p").replace("${dataset}", "d")
    assert "${" not in sql
    (translated,) = sqlglot.transpile(sql, read="bigquery", write="duckdb")
    # What sqlglot makes of SAFE.PARSE_DATETIME.
    unknown = r"SAFE\.STRPTIME\('1970 ' \|\| (\w+), '%Y ' \|\| ('[^']*')\)"
    translated = re.sub(unknown, r"TRY_STRPTIME(\1, \2)", translated)
    with duckdb.connect(tmp_path / "stream.duckdb") as connection:
        connection.execute("set timezone = 'UTC'; attach ':memory:' as p; create schema p.d")
        for table in (PREDICTIONS, RIDE_ENDED):
            connection.execute(
                f"create table p.d.{table} (subscription_name varchar, message_id varchar, "
                f"publish_time timestamptz, attributes json, data {kind})"
            )
        for number, (table, message) in enumerate(EVENTS):
            values = [
                "s",
                str(number),
                datetime.fromtimestamp(message.published, UTC),
                "{}",
                message.data.decode(),
            ]
            connection.execute(f"insert into p.d.{table} values (?, ?, ?, ?, ?)", values)
        columns = ", ".join(COLUMNS)
        expected = connection.execute(f"select {columns} from {VIEW} order by all").fetchall()
        found = connection.execute(f"select {columns} from ({translated}) order by all").fetchall()
        assert found == expected
        assert len(expected) == 11
        connection.execute(f"copy ({translated}) to '{tmp_path}/exported.parquet'")
    rides, _ = read_stream(str(tmp_path / "exported.parquet"), 24)
    assert rides.unmatched == {"rides ended without a prediction": 8, "predicted rides have not ended": 0}
    assert sorted(rides.actual) == pytest.approx([*[21.0] * 8, 21 + 0.5 / 60, 30.0])
