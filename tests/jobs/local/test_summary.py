import json

import pytest
from rich.console import Console

from functions.releases import Release
from jobs.events.replay import RecordedRide
from jobs.events.subscribers import ReceivedMessage
from jobs.local.ledger import DeliveryLedger
from jobs.local.replay_rides import HttpComparison, ReplayResult
from jobs.local.ride_table import RideTable
from jobs.local.summary import RunSummary, ServedModel, read_handling_times


def ride(ride_id):
    fields = {
        "PULocationID": 130,
        "DOLocationID": 205,
        "trip_distance": 3.66,
        "pickup_datetime": "2021-02-03T04:05:06",
    }
    return RecordedRide(ride_id, fields, actual_minutes=15.0)


def replayed(sent, predicted):
    ledger = DeliveryLedger()
    table = RideTable(ledger, sent)
    for ride_id in range(sent):
        ledger.record_sent(ride_id, now=100.0)
    for ride_id in range(predicted):
        event = {"version": "3", "prediction": {"ride_duration": 21.25, "ride_id": ride_id}}
        message = ReceivedMessage(json.dumps(event).encode(), {}, 100.0 + (ride_id + 1) / 1000)
        ledger.record_prediction(message)
        table.add(ride(ride_id), ledger.predicted[ride_id])
    return ReplayResult(ledger, table, first_seconds=0.5)


def summary_of(run, comparison):
    metrics = {"rmse": 5.1234, "rmse_without_pickup_time": 5.7, "rides_held_out": 61_921.0}
    release = Release(name="ride-duration", version="3", run_id="0123abcd", location="")
    return RunSummary(run, comparison, [1.0, 2.0, 3.0], ServedModel(release, metrics), True)


def test_a_good_run_shows_every_figure():
    summary = summary_of(replayed(100, 100), HttpComparison(50, 50, 50))

    assert summary.success
    rows = dict(summary.rows(71.4))
    assert rows["model"] == "ride-duration version 3"
    assert rows["error"].startswith("5.123 min RMSE on 61,921 held-out rides, 5.700 without")
    assert rows["events"] == "100 in, 100 predicted, 0 dead-lettered, 0 lost, 0 delivered again"
    assert rows["latency"].startswith("p50 50.0 ms, p99 99.0 ms")
    assert rows["function"].startswith("p50 2.0 ms, p99 3.0 ms")
    assert rows["http"] == "50 sent, 50 answered, 50 bit-identical"
    assert "run 0123abcd" in rows["mlflow"]
    assert rows["time"] == "71 s"


@pytest.mark.parametrize(
    ("run", "comparison"),
    [
        (replayed(100, 99), HttpComparison(50, 50, 50)),
        (replayed(100, 100), HttpComparison(50, 49, 49)),
        (replayed(100, 100), HttpComparison(50, 50, 49)),
        (replayed(100, 0), HttpComparison(0, 0, 0)),
    ],
    ids=["lost", "unanswered", "unequal", "nothing"],
)
def test_a_run_with_a_failure_is_not_a_success(run, comparison):
    summary = summary_of(run, comparison)

    assert not summary.success
    console = Console(record=True, width=100)
    console.print(summary.panel(71.4))
    assert "lost" in console.export_text()


def test_the_table_shows_the_latest_rides_by_zone_name():
    console = Console(record=True, width=110)

    console.print(replayed(100, 100).table)

    shown = console.export_text()
    assert "100 of 100" in shown
    assert shown.count("Jamaica") >= 8
    assert "21.2 min" in shown
    assert "15.0 min" in shown
    assert "+6.2" in shown


def test_the_functions_handling_times_are_read_from_its_log(tmp_path):
    log = tmp_path / "predict_event.log"
    log.write_text(
        "starting\n"
        '{"severity": "INFO", "outcome": "predicted", "latency_ms": 0.6}\n'
        '{"severity": "WARNING", "outcome": "dead_letter", "latency_ms": 9.0}\n'
    )

    assert read_handling_times(log) == [0.6]
