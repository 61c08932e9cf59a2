import json
import math

import pytest

from jobs.events.subscribers import ReceivedMessage
from jobs.local.ledger import DeliveryLedger, nearest_rank


def prediction(ride_id, published=0.0, minutes=21.3, version="1"):
    event = {
        "model": "ride_duration_prediction_model",
        "version": version,
        "prediction": {"ride_duration": minutes, "ride_id": ride_id},
    }
    return ReceivedMessage(json.dumps(event).encode(), {}, published)


def dead_letter(ride_id, detail="no such zone"):
    event = {"ride": {}, "ride_id": ride_id}
    return ReceivedMessage(json.dumps(event).encode(), {"dead_letter_detail": detail}, 0.0)


def test_a_prediction_is_recorded_with_its_latency():
    ledger = DeliveryLedger()
    ledger.record_sent(256, now=100.0)

    assert ledger.record_prediction(prediction(256, published=100.25)) == 256

    assert ledger.predicted[256] == (21.3, "1", 0.25, 100.25)
    assert (ledger.sent, ledger.lost, ledger.duplicates) == (1, 0, 0)


def test_a_dead_letter_is_not_lost_and_has_a_reason():
    ledger = DeliveryLedger()
    ledger.record_sent(256, now=100.0)

    ledger.record_dead_letter(dead_letter(256))

    assert ledger.dead == {256: "no such zone"}
    assert ledger.lost == 0


def test_an_event_without_a_message_is_lost():
    ledger = DeliveryLedger()
    ledger.record_sent(1, now=100.0)
    ledger.record_sent(2, now=100.0)
    ledger.record_prediction(prediction(1))

    assert ledger.lost == 1


def test_a_second_delivery_counts_as_a_duplicate_and_changes_nothing():
    ledger = DeliveryLedger()
    ledger.record_sent(1, now=100.0)
    ledger.record_prediction(prediction(1, published=100.1))

    assert ledger.record_prediction(prediction(1, published=107.0)) is None

    assert ledger.duplicates == 1
    assert ledger.predicted[1].seconds == pytest.approx(0.1)
    assert ledger.lost == 0


def test_events_of_others_do_not_hide_a_loss():
    ledger = DeliveryLedger()
    ledger.record_sent(1, now=100.0)

    assert ledger.record_prediction(prediction("not ours")) is None
    ledger.record_dead_letter(dead_letter("not ours either"))

    assert ledger.lost == 1
    assert not ledger.dead


def test_versions_have_no_duplicates():
    ledger = DeliveryLedger()
    for ride_id, version in enumerate(["2", "1", "2"]):
        ledger.record_sent(ride_id, now=0.0)
        ledger.record_prediction(prediction(ride_id, version=version))

    assert ledger.versions == ["1", "2"]


def test_percentiles_are_among_the_values():
    hundred = [float(value) for value in range(100, 0, -1)]

    assert nearest_rank(hundred, 50) == 50.0
    assert nearest_rank(hundred, 99) == 99.0
    assert nearest_rank(hundred, 100) == 100.0
    assert nearest_rank([3.0], 50) == 3.0
    assert math.isnan(nearest_rank([], 50))
