"""Predictions and ends of rides through the real Pub/Sub emulator into the file, and on into a report."""

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
from jobs.events.publishers import open_inlet
from jobs.local.emulators import BUCKET, PubSub
from jobs.local.topics import Topics
from jobs.monitoring.stream_source import read_stream
from jobs.storage.files import blob_at

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
        inlet = open_inlet(topic, topics.emulator)
        for body in bodies:
            inlet.send(body)
        inlet.finish()


def words(topics: Topics, file: Path, idle: float) -> list[str]:
    return [
        *("--predictions", topics.predictions_collect, "--ride-ended", topics.ride_ended_collect),
        *("--database", str(file), "--idle", str(idle)),
    ]


def rows(file: Path, sql: str):
    with duckdb.connect(file, read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(autouse=True)
def _emulator(monkeypatch: pytest.MonkeyPatch, pubsub: PubSub) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)


def test_what_comes_in_any_order_again_and_spoilt_is_joined_once(topics: Topics, tmp_path: Path) -> None:
    publish(topics, [], [ended(1), ended(2), ended("2"), ended(3, PULocationID=999), b"{"])
    publish(topics, [prediction(1)] * 3 + [prediction(1, "2", 25.0), prediction(4), b"[]"], [ended(1)] * 2)
    file = tmp_path / "stream.duckdb"

    result = CliRunner().invoke(command, words(topics, file, 2))

    assert result.exit_code == 0, result.output
    assert [line.split(maxsplit=1) for line in result.stdout.splitlines()] == [
        ["1", "joined"],
        ["1", "not ended"],
        ["1", "without a prediction"],
        ["3", "bad events"],
    ]
    known = rows(file, f"select ride_id, model_version, predicted_duration {ALL} order by all")
    assert known == [("1", "1", 20.0), ("1", "2", 25.0), ("2", None, None), ("4", "1", 20.0)]
    reasons = rows(file, "select kind, reason, data from bad_events order by kind, reason")
    assert {(kind, bytes(data)) for kind, _, data in reasons} >= {
        ("predictions", b"[]"),
        ("ride_ended", b"{"),
    }
    assert any("#/ride/PULocationID: must be a taxi zone, 1 to 265" in reason for _, reason, _ in reasons)


def test_killed_in_the_middle_nothing_is_lost_and_nothing_counts_twice(
    topics: Topics, tmp_path: Path
) -> None:
    count = 1500
    publish(topics, [prediction(each) for each in range(count)], [ended(each) for each in range(count)])
    file = tmp_path / "stream.duckdb"
    process = start(words(topics, file, 60))
    try:
        wait_for(lambda: kept(file) >= 300)
    finally:
        process.kill()
        process.communicate()
    assert kept(file) < 2 * count, "it was killed too late to lose anything"

    # What was not acknowledged comes again after the subscription's ten seconds.
    process = start(words(topics, file, 60))
    try:
        wait_for(lambda: kept(file) == 2 * count)
    finally:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)

    assert process.returncode == 0
    assert said.splitlines()[0].split() == ["1,500", "joined"]
    assert rows(file, f"select count(*), count(distinct ride_id) {ALL}") == [(count, count)]


def start(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "jobs", "collect", *words], stdout=subprocess.PIPE, text=True
    )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def kept(file: Path) -> int:
    try:
        counted = "select (select count(*) from predictions) + (select count(*) from ride_ended)"
        return int(rows(file, counted)[0][0])
    except duckdb.Error:  # not there yet, or open for writing
        return 0


def test_what_cannot_be_kept_ends_it_with_a_sentence(topics: Topics, tmp_path: Path) -> None:
    file = tmp_path / "stream.duckdb"
    CliRunner().invoke(command, words(topics, file, 0.2))
    with duckdb.connect(file) as connection:
        connection.execute("drop view rides_of_the_stream; drop table predictions")
        connection.execute(
            "create table predictions (ride_id varchar, model_version varchar, predicted_duration double "
            "check (predicted_duration < 0), published timestamp, primary key (ride_id, model_version))"
        )
    publish(topics, [prediction(1)], [])

    result = CliRunner().invoke(command, words(topics, file, 60))

    assert result.exit_code == 1
    assert f"{file} cannot be used as a file of events" in result.output


@pytest.mark.usefixtures("in_cloud")
def test_a_view_that_was_exported_to_a_bucket_is_read(topics: Topics, tmp_path: Path) -> None:
    storage_client.cache_clear()
    publish(topics, [prediction(each) for each in range(6)], [ended(each) for each in range(5)])
    file = tmp_path / "stream.duckdb"
    assert CliRunner().invoke(command, words(topics, file, 1.5)).exit_code == 0
    with duckdb.connect(file) as connection:
        connection.execute(f"copy ({ALL}) to '{tmp_path}/part.parquet'")
    for part in ("000000000000.parquet", "000000000001.parquet"):
        blob_at(f"gs://{BUCKET}/stream/{part}").upload_from_filename(tmp_path / "part.parquet")
    blob_at(f"gs://{BUCKET}/stream/notes.txt").upload_from_string("none of it")
    for place in ("stream/*.parquet", "stream", "stream/000000000001.parquet"):
        rides, _ = read_stream(f"gs://{BUCKET}/{place}", 24)
        assert len(rides) == 5, "a ride that is in two files is one"
        assert rides.waiting["predicted rides have not ended"] == 1
    storage_client.cache_clear()


def test_a_subscription_that_is_not_there_is_named(topics: Topics, tmp_path: Path) -> None:
    nowhere = f"projects/{topics.project}/subscriptions/nowhere"
    args = ["--predictions", nowhere, "--ride-ended", topics.ride_ended_collect]
    result = CliRunner().invoke(command, [*args, "--database", str(tmp_path / "s.duckdb"), "--idle", "2"])
    assert f"{nowhere} gives nothing" in result.output
