import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from google.pubsub_v1 import types

from functions.errors import UnreadableBody
from functions.event_handler import MAX_DEAD_LETTER_BYTES, dead_letter
from functions.push_envelope import IncomingMessage
from jobs.commands.redrive import command
from jobs.events.dead_letters import DeadLetter

SOURCE = "projects/p/subscriptions/ride-events-predict"


def redrive(*arguments, **environment):
    return CliRunner().invoke(command, arguments, env={"RIDE_EVENTS_TOPIC": None} | environment)


def letter_of(data, **attributes):
    message = IncomingMessage(data, attributes, "17", "2026-01-01T00:00:00Z", SOURCE, delivery_attempt=3)
    written = dead_letter(message, UnreadableBody("is not valid JSON"), "7")
    return DeadLetter("18", "ack", written.data, written.attributes)


def test_an_event_dead_lettered_by_the_function_is_restored():
    letter = letter_of(b"\xff", source="till", traceparent="00-1-2-01")

    assert letter.event().data == b"\xff"
    assert dict(letter.event().attributes) == {"source": "till", "traceparent": "00-1-2-01"}
    assert (letter.reason, letter.subscription, letter.truncated) == ("unreadable_body", SOURCE, False)


def test_an_event_keeps_its_ordering_key():
    message = IncomingMessage(b"\xff", {"source": "till"}, ordering_key="cab 7")
    written = dead_letter(message, UnreadableBody("is not valid JSON"), "7")
    pulled = types.PubsubMessage(
        data=written.data, attributes=written.attributes, publish_time=datetime.now(UTC)
    )
    event = DeadLetter.from_received(types.ReceivedMessage(message=pulled)).event()

    assert (event.ordering_key, dict(event.attributes)) == ("cab 7", {"source": "till"})


def test_an_event_dead_lettered_by_pubsub_is_restored():
    own = {"source": "till"}
    added = {
        "CloudPubSubDeadLetterSourceDeliveryCount": "100",
        "CloudPubSubDeadLetterSourceSubscription": "ride-events-predict",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-01-01T00:00:00.000+00:00",
        "googclient_deliveryattempt": "5",
    }
    letter = DeadLetter("18", "ack", b"{}", own | added, ordering_key="cab 7")

    assert dict(letter.event().attributes) == own
    assert letter.event().ordering_key == "cab 7"
    assert (letter.reason, letter.subscription) == ("given_up", SOURCE)


def test_a_dead_letter_with_only_the_beginning_of_the_event_is_truncated():
    assert not letter_of(b"x" * MAX_DEAD_LETTER_BYTES).truncated
    assert letter_of(b"x" * (MAX_DEAD_LETTER_BYTES + 1)).truncated


def test_a_message_that_was_not_dead_lettered_has_no_reason():
    assert DeadLetter("18", "ack", b"{}", {"source": "till"}).reason == ""


def test_dead_letters_of_the_same_event_have_the_same_fingerprint():
    body = json.dumps({"ride_id": 1}).encode()

    assert letter_of(body, a="1", b="2").fingerprint() == letter_of(body, b="2", a="1").fingerprint()
    assert letter_of(body, a="1").fingerprint() != letter_of(body, a="2").fingerprint()
    assert letter_of(body, a="1").fingerprint() != letter_of(b"{}", a="1").fingerprint()


def test_the_address_of_a_function_is_rejected():
    result = redrive("--from", SOURCE, RIDE_EVENTS_TOPIC="http://127.0.0.1:8081")

    assert result.exit_code == 2
    assert "http://127.0.0.1:8081 is a function's URL: without Pub/Sub" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "dead-letters"], "'dead-letters' must look like projects/PROJECT/subscriptions/"),
        (["--from", SOURCE, "--to", "rides"], "'rides' must look like projects/PROJECT/topics/TOPIC"),
        ([], "Missing option '--from' (env var: 'DEAD_LETTER_SUBSCRIPTION')"),
    ],
)
def test_invalid_names_are_rejected(arguments, message):
    result = redrive(*arguments)

    assert result.exit_code == 2
    assert message in result.output
