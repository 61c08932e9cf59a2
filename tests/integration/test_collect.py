"""`collect` joins events from the real Pub/Sub emulator, and a report reads the result."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from functions.artifacts import storage_client
from jobs.commands.collect import command
from jobs.events.publishers import open_publisher
from jobs.local.emulators import BUCKET, PubSubEmulator
from jobs.local.topics import Topics
from jobs.monitoring.stream_source import read_stream
from jobs.storage.gcs import blob_at

ALL = "from rides_of_the_stream"


def prediction(ride_id, version="1", minutes=20.0):
    body = {"ride_duration": minutes, "ride_id": ride_id}
    return json.dumps(
        {"model": "ride_duration_prediction_model", "version": version, "prediction": body}
    ).encode()


def ended(ride_id, **changes):
    ride = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
    ride |= {"pickup_datetime": "2021-03-01T00:00:00"} | changes
    return json.dumps({"ride_id": ride_id, "ride": ride, "dropoff_datetime": "2021-03-01T00:21:00"}).encode()


def publish(topics: Topics, predictions, ends):
    for topic, bodies in ((topics.predictions, predictions), (topics.ride_ended, ends)):
        publisher = open_publisher(topic, topics.emulator)
        for body in bodies:
            publisher.send(body)
        publisher.finish()


def arguments(topics: Topics, file: Path, idle: float) -> list[str]:
    return [
        *("--predictions", topics.predictions_collect, "--ride-ended", topics.ride_ended_collect),
        *("--database", str(file), "--idle", str(idle)),
    ]


def rows(file: Path, sql: str):
    with duckdb.connect(file, read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(autouse=True)
def _emulator(monkeypatch: pytest.MonkeyPatch, pubsub: PubSubEmulator) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)


def test_events_out_of_order_duplicated_or_invalid_are_joined_once(topics: Topics, tmp_path: Path) -> None:
    publish(topics, [], [ended(1), ended(2), ended("2"), ended(3, PULocationID=999), b"{"])
    publish(topics, [prediction(1)] * 3 + [prediction(1, "2", 25.0), prediction(4), b"[]"], [ended(1)] * 2)
    file = tmp_path / "stream.duckdb"

    result = CliRunner().invoke(command, arguments(topics, file, 2))

    assert result.exit_code == 0, result.output
    assert [line.split(maxsplit=1) for line in result.stdout.splitlines()] == [
        ["1", "joined"],
        ["1", "not ended"],
        ["1", "without a prediction"],
        ["3", "bad events"],
    ]
    joined = rows(file, f"select ride_id, model_version, predicted_duration {ALL} order by all")
    assert joined == [("1", "1", 20.0), ("1", "2", 25.0), ("2", None, None), ("4", "1", 20.0)]
    reasons = rows(file, "select kind, reason, data from bad_events order by kind, reason")
    assert {(kind, bytes(data)) for kind, _, data in reasons} >= {
        ("predictions", b"[]"),
        ("ride_ended", b"{"),
    }
    assert any("#/ride/PULocationID: must be a taxi zone, 1 to 265" in reason for _, reason, _ in reasons)


def test_after_a_kill_nothing_is_lost_and_nothing_counts_twice(topics: Topics, tmp_path: Path) -> None:
    count = 1500
    publish(topics, [prediction(each) for each in range(count)], [ended(each) for each in range(count)])
    file = tmp_path / "stream.duckdb"
    process = start(arguments(topics, file, 60))
    try:
        wait_for(lambda: count_events(file) >= 300)
    finally:
        process.kill()
        process.communicate()
    assert count_events(file) < 2 * count, "it was killed too late to lose anything"

    # Unacknowledged messages are redelivered after the subscription's ten seconds.
    process = start(arguments(topics, file, 60))
    try:
        wait_for(lambda: count_events(file) == 2 * count)
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)

    assert process.returncode == 0
    assert output.splitlines()[0].split() == ["1,500", "joined"]
    assert rows(file, f"select count(*), count(distinct ride_id) {ALL}") == [(count, count)]


def start(args: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "jobs", "collect", *args], stdout=subprocess.PIPE, text=True
    )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        time.sleep(0.02)


def count_events(file: Path) -> int:
    try:
        sql = "select (select count(*) from predictions) + (select count(*) from ride_ended)"
        return int(rows(file, sql)[0][0])
    except duckdb.Error:  # does not exist yet, or is open for writing
        return 0


def test_a_store_that_refuses_events_ends_the_command_with_an_error(topics: Topics, tmp_path: Path) -> None:
    file = tmp_path / "stream.duckdb"
    CliRunner().invoke(command, arguments(topics, file, 0.2))
    with duckdb.connect(file) as connection:
        connection.execute("drop view rides_of_the_stream; drop table predictions")
        connection.execute(
            "create table predictions (ride_id varchar, model_version varchar, predicted_duration double "
            "check (predicted_duration < 0), published timestamp, primary key (ride_id, model_version))"
        )
    publish(topics, [prediction(1)], [])

    result = CliRunner().invoke(command, arguments(topics, file, 60))

    assert result.exit_code == 1
    assert f"{file} is not a usable file of events" in result.output


@pytest.mark.usefixtures("in_cloud")
def test_a_view_exported_to_a_bucket_can_be_read(topics: Topics, tmp_path: Path) -> None:
    storage_client.cache_clear()
    publish(topics, [prediction(each) for each in range(6)], [ended(each) for each in range(5)])
    file = tmp_path / "stream.duckdb"
    assert CliRunner().invoke(command, arguments(topics, file, 1.5)).exit_code == 0
    with duckdb.connect(file) as connection:
        connection.execute(f"copy ({ALL}) to '{tmp_path}/part.parquet'")
    for part in ("000000000000.parquet", "000000000001.parquet"):
        blob_at(f"gs://{BUCKET}/stream/{part}").upload_from_filename(tmp_path / "part.parquet")
    blob_at(f"gs://{BUCKET}/stream/notes.txt").upload_from_string("not Parquet")
    for name in ("stream/*.parquet", "stream", "stream/000000000001.parquet"):
        rides, _ = read_stream(f"gs://{BUCKET}/{name}", 24)
        assert len(rides) == 5, "a ride in two files counts once"
        assert rides.unmatched["predicted rides have not ended"] == 1
    storage_client.cache_clear()


def test_a_missing_subscription_is_named(topics: Topics, tmp_path: Path) -> None:
    nowhere = f"projects/{topics.project}/subscriptions/nowhere"
    args = ["--predictions", nowhere, "--ride-ended", topics.ride_ended_collect]
    result = CliRunner().invoke(command, [*args, "--database", str(tmp_path / "s.duckdb"), "--idle", "2"])
    assert f"cannot pull from {nowhere}" in result.output
