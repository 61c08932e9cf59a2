import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from jobs.events.replay import RecordedRide
from jobs.events.subscribers import ReceivedMessage
from jobs.local.ledger import DeliveryLedger
from jobs.local.prefect_client import TimeSpan
from jobs.local.rollover import Rollover

MINUTES = {"1": 15.0, "2": 19.0}
"""What each version predicts for a ride that takes 20."""
SPANS = {"report": TimeSpan(1001.0, 1003.0), "train": TimeSpan(1003.0, 1008.5)}


def rollover_of(versions: str, sent: int | None = None) -> Rollover:
    """Predictions by these versions, one second apart, received in another order than they were published."""
    ledger = DeliveryLedger()
    rides = [RecordedRide(number, {}, 20.0) for number in range(len(versions) if sent is None else sent)]
    for ride in rides:
        ledger.record_sent(ride.ride_id, 999.0)
    for number, version in reversed(list(enumerate(versions))):
        event = {"version": version, "prediction": {"ride_duration": MINUTES[version], "ride_id": number}}
        ledger.record_prediction(ReceivedMessage(json.dumps(event).encode(), {}, 1000.0 + number))
    return Rollover.from_ledger(ledger, rides, SPANS)


def test_one_champion_after_the_other() -> None:
    rollover = rollover_of("1112222")

    assert rollover.success
    assert rollover.changes == 1
    assert rollover.mean_errors == {"1": 5.0, "2": 1.0}
    assert rollover.seconds.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert rollover.spans == {"report": TimeSpan(1.0, 3.0), "train": TimeSpan(3.0, 8.5)}
    assert rollover.title() == (
        "The data drifted and a new champion took over: mean error 1.0 minutes instead of 5.0, 0 events lost"
    )
    rows = dict(rollover.rows())
    assert rows["events"] == "7 in 6 s, 7 predicted, 0 lost"
    assert rows["versions"] == "1 → 2, 1 change of version in the stream"
    assert rows["flow"] == "report 2.0 s, train 5.5 s"


@pytest.mark.parametrize(
    ("versions", "sent"),
    [("111", None), ("1121222", None), ("2221111", None), ("1112222", 8)],
    ids=["no change", "back and forth", "for the worse", "lost"],
)
def test_a_rollover_that_failed(versions: str, sent: int | None) -> None:
    rollover = rollover_of(versions, sent)

    assert not rollover.success
    console = Console(record=True, width=100)
    console.print(rollover.panel())
    assert "something went wrong" in console.export_text()


def test_the_plot_shows_both_versions_and_the_flow() -> None:
    error_axes, flow_axes = rollover_of("1" * 80 + "2" * 80).draw().axes

    labels = [text.get_text() for text in error_axes.get_legend().get_texts()]
    assert labels == ["version 1: mean error 5.0 minutes", "version 2: mean error 1.0 minutes"]
    first, second, _ = error_axes.lines
    assert np.all(first.get_ydata() == 5.0)
    assert np.all(second.get_ydata() == 1.0)
    assert [label.get_text() for label in flow_axes.get_yticklabels()] == ["report", "train"]


def test_the_line_of_a_version_is_its_mean_error_as_the_legend_says() -> None:
    rollover = replace(rollover_of("1" * 300), errors=np.where(np.arange(300) % 10 == 0, 20.0, 1.0))
    error_axes, _ = rollover.draw().axes

    assert error_axes.get_legend().get_texts()[0].get_text() == "version 1: mean error 2.9 minutes"
    assert error_axes.lines[0].get_ydata() == pytest.approx(2.9, abs=0.4)
