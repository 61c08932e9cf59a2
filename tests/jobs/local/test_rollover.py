import json

import numpy as np
import pytest
from rich.console import Console

from jobs.events.replay import RecordedRide
from jobs.events.subscribers import Arrival
from jobs.local.ledger import Ledger
from jobs.local.prefect_client import Span
from jobs.local.rollover import Takeover

MINUTES = {"1": 15.0, "2": 19.0}
"""What each version predicts for a ride that takes 20."""
SPANS = {"report": Span(1001.0, 1003.0), "train": Span(1003.0, 1008.5)}


def takeover(versions: str, sent: int | None = None) -> Takeover:
    """Of predictions one second apart by these versions, booked in another order than they were published."""
    ledger = Ledger()
    rides = [RecordedRide(number, {}, 20.0) for number in range(len(versions) if sent is None else sent)]
    for ride in rides:
        ledger.send(ride.ride_id, 999.0)
    for number, version in reversed(list(enumerate(versions))):
        event = {"version": version, "prediction": {"ride_duration": MINUTES[version], "ride_id": number}}
        ledger.predict(Arrival(json.dumps(event).encode(), {}, 1000.0 + number))
    return Takeover.of(ledger, rides, SPANS)


def test_one_champion_after_the_other() -> None:
    taken = takeover("1112222")

    assert taken.good
    assert taken.changes == 1
    assert taken.errors == {"1": 5.0, "2": 1.0}
    assert taken.at.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert taken.spans == {"report": Span(1.0, 3.0), "train": Span(3.0, 8.5)}
    assert taken.title() == (
        "The month drifted, a new champion took over: off by 1.0 minutes instead of 5.0, 0 events lost"
    )
    rows = dict(taken.rows())
    assert rows["events"] == "7 in 6 s, 7 predicted, 0 lost"
    assert rows["versions"] == "1 → 2, 1 change of version in the stream"
    assert rows["flow"] == "report 2.0 s, train 5.5 s"


@pytest.mark.parametrize(
    ("versions", "sent"),
    [("111", None), ("1121222", None), ("2221111", None), ("1112222", 8)],
    ids=["no change", "to and fro", "for the worse", "lost"],
)
def test_what_is_no_good_takeover(versions: str, sent: int | None) -> None:
    taken = takeover(versions, sent)

    assert not taken.good
    console = Console(record=True, width=100)
    console.print(taken.outcome())
    assert "something is wrong" in console.export_text()


def test_the_picture_has_both_versions_and_what_the_flow_did() -> None:
    above, below = takeover("1" * 80 + "2" * 80).draw().axes

    labels = [text.get_text() for text in above.get_legend().get_texts()]
    assert labels == [
        "version 1: 5.0 minutes off on average",
        "version 2: 1.0 minutes off on average",
    ]
    first, second, _ = above.lines
    assert np.all(first.get_ydata() == 5.0)
    assert np.all(second.get_ydata() == 1.0)
    assert [label.get_text() for label in below.get_yticklabels()] == ["report", "train"]
