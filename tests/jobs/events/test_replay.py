import json
import time
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from functions.rides import parse_ride
from jobs.commands.replay import command
from jobs.events.replay import paced, sample_rides
from jobs.ground_truth.events import parse_ride_ended
from jobs.trips import synthetic


@pytest.fixture(scope="module")
def months(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trips")
    files = []
    for month in (date(2021, 1, 1), date(2021, 2, 1)):
        files.append(str(folder / f"{month:%Y-%m}.parquet"))
        synthetic.write_month(month, files[-1], rides=2_000)
    return files


def test_rides_are_sampled_from_the_last_month_without_replacement(months):
    rides = sample_rides(months, 300)

    assert len(rides) == 300
    assert len({ride.ride_id for ride in rides}) == 300
    pickups = [ride.ride["pickup_datetime"] for ride in rides]
    assert pickups == sorted(pickups)
    assert sum(pickup.startswith("2021-02") for pickup in pickups) > 295
    assert all(1 <= ride.actual_minutes <= 60 for ride in rides)


def test_a_single_month_is_sampled_at_its_end_only(months):
    pickups = [ride.ride["pickup_datetime"] for ride in sample_rides(months[:1], 300)]

    assert min(pickups) > "2021-01-20"


def test_the_same_seed_samples_the_same_rides(months):
    assert sample_rides(months, 50) == sample_rides(months, 50)
    assert sample_rides(months, 50) != sample_rides(months, 50, seed=7)


def test_a_sample_is_limited_to_the_rides_that_there_are(months):
    assert 300 < len(sample_rides(months[:1], 100_000)) <= 400


def test_a_csv_file_is_sampled_like_parquet(months, tmp_path):
    copy = tmp_path / "2021-02.csv"
    pd.read_parquet(months[1]).to_csv(copy, index=False)
    assert sample_rides([str(copy)], 50) == sample_rides(months[1:], 50)


def test_a_month_that_cannot_be_read_is_a_sentence(months, tmp_path):
    trips = pd.read_parquet(months[1])
    seconds = trips.lpep_pickup_datetime.astype("datetime64[s]").astype("int64")
    trips.assign(lpep_pickup_datetime=seconds).to_parquet(tmp_path / "2021-02.parquet")
    result = CliRunner().invoke(command, ["--trips", str(tmp_path / "2021-02.parquet"), "--topic", "out"])
    assert result.exit_code == 1
    assert "has int64 in lpep_pickup_datetime, such as" in result.output


def test_the_form_of_a_ride_event(months):
    (ride,) = sample_rides(months, 1)

    event = json.loads(ride.event())

    assert set(event) == {"ride", "ride_id"}
    assert set(event["ride"]) == {
        "PULocationID",
        "DOLocationID",
        "trip_distance",
        "pickup_datetime",
    }
    assert event["ride_id"] == ride.ride_id


def test_the_event_at_the_end_of_a_ride_gives_its_duration(months):
    (ride,) = sample_rides(months, 1)

    event = parse_ride_ended(json.loads(ride.ended_event()))

    assert (event.ride_id, event.ride) == (ride.ride_id, parse_ride(ride.ride))
    minutes = (event.dropoff_datetime - event.ride.pickup_datetime).total_seconds() / 60
    assert minutes == pytest.approx(ride.actual_minutes, abs=1e-7)


def test_rides_and_their_ends_are_published(months, tmp_path):
    events, ends = str(tmp_path / "events.jsonl"), str(tmp_path / "ends.jsonl")
    arguments = f"--trips {months[0]} --rides 7 --rate 1000 --topic {events} --ended-topic {ends}"

    result = CliRunner().invoke(command, arguments)

    assert result.exit_code == 0, result.output
    started, ended = (
        [json.loads(line)["data"]["ride_id"] for line in Path(file).read_text().splitlines()]
        for file in (events, ends)
    )
    assert started == ended
    assert len(started) == 7


@pytest.mark.alone
def test_pacing_catches_up_after_a_delay():
    began = time.monotonic()
    for number in paced(range(20), rate=100):
        if number == 5:
            time.sleep(0.08)

    assert 0.19 <= time.monotonic() - began < 0.3


def test_one_event_is_told_apart_from_several(tmp_path):
    result = CliRunner().invoke(command, ["--event", "{}", "--topic", str(tmp_path / "events.jsonl")])

    assert result.exit_code == 0, result.output
    assert result.output.startswith("1 event sent to ")


def test_missing_predictions_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("jobs.commands.replay.WATCH_SECONDS", 0.2)
    watched = str(tmp_path / "predictions.jsonl")
    result = CliRunner().invoke(
        command, ["--event", "{}", "--topic", str(tmp_path / "events.jsonl"), "--watch", watched]
    )

    assert result.exit_code == 1
    assert f"Error: of 1 event 1 has no prediction in {watched} within 0.2 s: look at" in result.output


def test_without_a_topic_replay_says_what_to_give(monkeypatch):
    monkeypatch.delenv("RIDE_EVENTS_TOPIC", raising=False)
    result = CliRunner().invoke(command, ["--event", "{}"])

    assert result.exit_code == 2
    assert "give --topic: projects/PROJECT/topics/TOPIC, or the address of predict_event" in result.output


def test_replay_needs_rides_or_an_event():
    result = CliRunner().invoke(command, ["--topic", "http://127.0.0.1:9"])

    assert result.exit_code == 2
    assert "give --trips or --event" in result.output
