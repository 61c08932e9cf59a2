import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime

import duckdb
import numpy as np
import pandas as pd
import pytest

from jobs.events.subscribers import ReceivedMessage
from jobs.ground_truth import store as store_module
from jobs.ground_truth.events import parse_ride_ended
from jobs.ground_truth.store import EventStore, StoreFailed
from jobs.ground_truth.tables import PREDICTIONS, RIDE_ENDED
from jobs.monitoring.stream_source import read_stream
from jobs.storage.errors import FileAccessError

NOON = datetime(2021, 3, 2, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0


def predicted(ride_id, minutes=20.0, version="1", at=NOON):
    body = {"version": version, "prediction": {"ride_duration": minutes, "ride_id": ride_id}}
    return ReceivedMessage(json.dumps(body).encode(), {}, at)


def ended(ride_id, at=NOON, dropoff="2021-03-01T00:21:00", **changes):
    ride = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
    ride |= {"pickup_datetime": "2021-03-01T00:00:00"} | changes
    return ReceivedMessage(
        json.dumps({"ride_id": ride_id, "ride": ride, "dropoff_datetime": dropoff}).encode(), {}, at
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "stream.duckdb"


@pytest.fixture
def store(path):
    return EventStore(path)


@pytest.mark.parametrize(
    "record",
    [
        {"lpep_dropoff_datetime": "2021-03-01 00:21:00"},
        {"Tpep_Dropoff_Datetime": "03/01/2021 12:21:00 AM"},
        {"lpep_dropoff_datetime": None, "tpep_dropoff_datetime": "2021-03-01T05:21:00Z"},
    ],
)
def test_a_ride_ended_event_may_hold_a_tlc_record(record) -> None:
    ride = {"PULocationID": 130, "DOLocationID": 205, "trip_miles": -4}
    ride |= {"lpep_pickup_datetime": "03/01/2021 12:00:00 AM"}
    expected = parse_ride_ended(
        json.loads(ended(7, trip_distance=0.0).data) | {"dropoff_datetime": "2021-03-01T00:21:00"}
    )
    assert parse_ride_ended({"ride_id": 7, "ride": ride | record}) == expected
    assert parse_ride_ended({"ride_id": 7, "ride": ride} | record) == expected


def test_the_later_published_of_two_events_wins_in_any_order(store, path) -> None:
    store.save(PREDICTIONS, [predicted("a", 2.0, at=NOON + 1), predicted("a", 1.0), predicted("b", 1.0)])
    store.save(PREDICTIONS, [predicted("a", 0.5), predicted("b", 2.0, at=NOON + 1)])
    store.save(RIDE_ENDED, [ended("a", trip_distance=2.0, at=NOON + 1)])
    store.save(RIDE_ENDED, [ended("a", trip_distance=1.0)])
    with duckdb.connect(path) as connection:
        rows = connection.execute(
            "select ride_id, predicted_duration, trip_distance from rides_of_the_stream order by 1"
        ).fetchall()
    assert rows == [("a", 2.0, 2.0), ("b", 2.0, None)]


@pytest.mark.parametrize(
    ("kind", "message", "reason"),
    [
        (RIDE_ENDED, ended(1, pickup_datetime=None), "#/ride/pickup_datetime: is missing"),
        (RIDE_ENDED, ended(1, dropoff=None), "#/dropoff_datetime: is missing"),
        (
            RIDE_ENDED,
            ended(1, dropoff="soon", PULocationID=0),
            "#/ride/PULocationID: .*; #/dropoff_datetime: must be",
        ),
        (RIDE_ENDED, ended(None), "#/ride_id: is missing"),
        (RIDE_ENDED, ReceivedMessage(b"[1]", {}, NOON), "must be an object"),
        (RIDE_ENDED, ReceivedMessage(b"\xff\x00", {}, NOON), "is not text in UTF-8"),
        (RIDE_ENDED, ended(1, trip_distance="n/a"), "#/ride/trip_distance: must be a number of miles"),
        (
            RIDE_ENDED,
            ended(1, lpep_dropoff_datetime="2021-03-01T00:22:00"),
            "#/ride/lpep_dropoff_datetime: differs from #/dropoff_datetime: send only one",
        ),
        (PREDICTIONS, predicted(None), "#/prediction/ride_id"),
        (PREDICTIONS, predicted(1, "long"), "#/prediction/ride_duration: must be a number of minutes"),
        (PREDICTIONS, predicted(1, float("nan")), "#/prediction/ride_duration: must be a number of minutes"),
        (PREDICTIONS, predicted(1, 10**400), "#/prediction/ride_duration: must be a number of minutes"),
        (PREDICTIONS, predicted(1, True), "#/prediction/ride_duration: must be a number of minutes"),
        (PREDICTIONS, predicted(1, version="\ud800"), "#/version: must be valid Unicode"),
        (RIDE_ENDED, ended("\ud800"), "#/ride_id: must be valid Unicode"),
        (RIDE_ENDED, ended(1, dropoff="0000-01-01T00:00:00"), "#/dropoff_datetime: must be"),
        (PREDICTIONS, ReceivedMessage(b"[" * 100_000, {}, NOON), "is not valid JSON"),
        (PREDICTIONS, ReceivedMessage(b"", {}, NOON), "is not valid JSON"),
        (PREDICTIONS, ReceivedMessage(b"{}", {}, NOON), "is not a valid prediction event"),
        (
            PREDICTIONS,
            ReceivedMessage(b'{"version": "1", "prediction": {"ride_id": 1}}', {}, NOON),
            "ride_duration",
        ),
    ],
)
def test_a_bad_event_is_stored_once_with_its_reason(kind, message, reason, store, path) -> None:
    store.save(kind, [message, message])
    store.save(kind, [message])
    with duckdb.connect(path) as connection:
        ((stored_reason, data),) = connection.execute("select reason, data from bad_events").fetchall()
    assert bytes(data) == message.data
    assert re.search(reason, stored_reason)
    assert store.counts() == {"joined": 0, "not ended": 0, "without a prediction": 0, "bad events": 1}


def test_unusual_but_valid_values_are_stored(store, path) -> None:
    odd = ["a\0b", "", "🚕", -(2**63), "x" * 1024]
    store.save(PREDICTIONS, [predicted(ride_id, -1e300) for ride_id in odd])
    ages = ("0001-01-01T00:00:00", "9999-12-31T23:59:59")
    store.save(RIDE_ENDED, [ended(ride_id, dropoff=ages[1], pickup_datetime=ages[0]) for ride_id in odd])
    assert store.counts() == {"joined": 5, "not ended": 0, "without a prediction": 0, "bad events": 0}
    rides, _ = read_stream(str(path), 24)
    assert rides.rejected == {"longer than 60 minutes": 5}


def test_old_events_are_deleted(store) -> None:
    now = time.time()
    store.save(PREDICTIONS, [predicted("old", at=now - 3 * 24 * HOUR), predicted("new", at=now)])
    store.save(RIDE_ENDED, [ended("old", at=now - 3 * 24 * HOUR), ended("new", at=now)])
    store.delete_older_than(days=2)
    assert store.counts()["joined"] == 1
    assert store.counts()["without a prediction"] == 0


def test_saving_waits_for_a_reader_to_close_the_file(store, path, monkeypatch) -> None:
    hold = """if True:
        import duckdb, sys, time
        connection = duckdb.connect(sys.argv[1], read_only=True)
        print("open", flush=True)
        time.sleep({})
    """
    reader = subprocess.Popen([sys.executable, "-c", hold.format(0.7), str(path)], stdout=subprocess.PIPE)
    reader.stdout.readline()
    store.save(PREDICTIONS, [predicted(1)])
    reader.communicate()
    assert store.counts()["not ended"] == 1

    monkeypatch.setattr(store_module, "LOCK_TIMEOUT_SECONDS", 0.1)
    reader = subprocess.Popen([sys.executable, "-c", hold.format(60), str(path)], stdout=subprocess.PIPE)
    reader.stdout.readline()
    with pytest.raises(StoreFailed, match="is locked by another program"):
        store.save(PREDICTIONS, [predicted(1)])
    reader.kill()
    reader.communicate()


def test_a_file_that_is_not_a_database_is_left_untouched(path) -> None:
    path.write_text("no database")
    with pytest.raises(StoreFailed, match="cannot be opened as a DuckDB file"):
        EventStore(path)
    assert path.read_text() == "no database"


def test_the_last_day_is_read_with_all_versions_and_unmatched_rides(store, path) -> None:
    late = NOON + 30 * HOUR
    store.save(PREDICTIONS, [predicted(each, 10.0 + each, "9", NOON) for each in range(5)])
    store.save(PREDICTIONS, [predicted(3, 30.0, "10", late), predicted(99, at=late)])
    store.save(RIDE_ENDED, [ended(each, NOON if each < 2 else late) for each in range(5)])
    store.save(RIDE_ENDED, [ended("unpredicted", late), ended("long", late, "2021-03-01T02:00:00")])
    rides, name = read_stream(str(path), 24)
    assert name == "stream.duckdb, events from 2021-03-03 18:00 to 2021-03-03 18:00 UTC"
    assert rides.unmatched == {"rides ended without a prediction": 2, "predicted rides have not ended": 1}
    assert rides.rejected == {"longer than 60 minutes": 1}
    assert sorted(rides.predicted[~np.isnan(rides.predicted)]) == [12.0, 14.0, 30.0]
    assert set(rides.actual) == {21.0}
    assert len(rides) == 4
    assert set(rides.predictions_by_version) == {"9", "10"}
    everything, _ = read_stream(str(path), float("inf"))
    assert len(everything) == 6


def test_parquet_exported_from_the_view_gives_the_same_stream(store, path, tmp_path) -> None:
    store.save(PREDICTIONS, [predicted(each, 10.0 + each) for each in range(5)])
    store.save(RIDE_ENDED, [ended(each) for each in range(4)])
    folder = tmp_path / "exported"
    folder.mkdir()
    with duckdb.connect(path) as connection:
        for part in range(2):
            rows = f"from rides_of_the_stream where ride_id::int % 2 = {part}"
            connection.execute(f"copy ({rows}) to '{folder}/{part}.parquet'")
    expected, _ = read_stream(str(path), 24)
    for uri in (folder, f"{folder}/*.parquet"):
        rides, _ = read_stream(str(uri), 24)
        assert sorted(rides.predicted) == sorted(expected.predicted)
        assert rides.unmatched == expected.unmatched
    with pytest.raises(FileAccessError, match="contains none"):
        read_stream(f"{folder}/none*.parquet", 24)
    pd.DataFrame({"ride_id": [1]}).to_parquet(folder / "2.parquet")
    with pytest.raises(FileAccessError, match="has no column model_version"):
        read_stream(str(folder), 24)


def test_after_a_kill_during_a_write_the_file_can_be_read_and_written(store, path) -> None:
    program = """if True:
        import duckdb, os, sys
        connection = duckdb.connect(sys.argv[1])
        connection.execute("pragma disable_checkpoint_on_shutdown")
        connection.execute("insert into predictions values ('1', '1', 2.0, now()::timestamp)")
        connection.execute("begin; insert into predictions values ('2', '1', 2.0, now()::timestamp)")
        os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert path.with_name(f"{path.name}.wal").exists(), "there was nothing to recover"
    rides, _ = read_stream(str(path), 24)
    assert rides.unmatched["predicted rides have not ended"] == 1
    store.save(PREDICTIONS, [predicted("3")])
    assert store.counts()["not ended"] == 2


def test_an_empty_stream_is_an_error(store, path) -> None:
    with pytest.raises(FileAccessError, match="holds no events yet"):
        read_stream(str(path), 24)
