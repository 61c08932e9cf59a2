import json
import math

import pytest

from jobs.events.subscribers import Arrival
from jobs.local.ledger import Ledger, nearest_rank


def prediction(ride_id, published=0.0, minutes=21.3, version="1"):
    event = {
        "model": "ride_duration_prediction_model",
        "version": version,
        "prediction": {"ride_duration": minutes, "ride_id": ride_id},
    }
    return Arrival(json.dumps(event).encode(), {}, published)


def dead_letter(ride_id, detail="no such zone"):
    event = {"ride": {}, "ride_id": ride_id}
    return Arrival(json.dumps(event).encode(), {"dead_letter_detail": detail}, 0.0)


def test_what_goes_in_comes_out():
    ledger = Ledger()
    ledger.send(256, now=100.0)

    assert ledger.predict(prediction(256, published=100.25)) == 256

    assert ledger.predicted[256] == (21.3, "1", 0.25, 100.25)
    assert (ledger.sent, ledger.lost, ledger.duplicates) == (1, 0, 0)


def test_a_dead_letter_is_not_lost_and_says_why():
    ledger = Ledger()
    ledger.send(256, now=100.0)

    ledger.bury(dead_letter(256))

    assert ledger.dead == {256: "no such zone"}
    assert ledger.lost == 0


def test_silence_is_a_loss():
    ledger = Ledger()
    ledger.send(1, now=100.0)
    ledger.send(2, now=100.0)
    ledger.predict(prediction(1))

    assert ledger.lost == 1


def test_a_second_delivery_counts_as_a_duplicate_and_changes_nothing():
    ledger = Ledger()
    ledger.send(1, now=100.0)
    ledger.predict(prediction(1, published=100.1))

    assert ledger.predict(prediction(1, published=107.0)) is None

    assert ledger.duplicates == 1
    assert ledger.predicted[1].seconds == pytest.approx(0.1)
    assert ledger.lost == 0


def test_another_ones_events_do_not_hide_a_loss():
    ledger = Ledger()
    ledger.send(1, now=100.0)

    assert ledger.predict(prediction("not ours")) is None
    ledger.bury(dead_letter("not ours either"))

    assert ledger.lost == 1
    assert not ledger.dead


def test_each_version_is_named_once():
    ledger = Ledger()
    for ride_id, version in enumerate(["2", "1", "2"]):
        ledger.send(ride_id, now=0.0)
        ledger.predict(prediction(ride_id, version=version))

    assert ledger.versions == ["1", "2"]


def test_percentiles_are_values_that_were_seen():
    hundred = [float(value) for value in range(100, 0, -1)]

    assert nearest_rank(hundred, 50) == 50.0
    assert nearest_rank(hundred, 99) == 99.0
    assert nearest_rank(hundred, 100) == 100.0
    assert nearest_rank([3.0], 50) == 3.0
    assert math.isnan(nearest_rank([], 50))
