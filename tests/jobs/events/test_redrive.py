import json

import pytest
from click.testing import CliRunner

from functions.errors import UnreadableBody
from functions.event_handler import LARGEST_DEAD_LETTER, dead_letter
from functions.push_envelope import Message
from jobs.commands.redrive import command
from jobs.events.dead_letters import Letter

SOURCE = "projects/p/subscriptions/ride-events-predict"


def redrive(*words, **environment):
    return CliRunner().invoke(command, words, env={"RIDE_EVENTS_TOPIC": None} | environment)


def letter_of(data, **attributes):
    message = Message(data, attributes, "17", "2026-01-01T00:00:00Z", SOURCE, delivery_attempt=3)
    written = dead_letter(message, UnreadableBody("is no JSON"), "7")
    return Letter("18", "ack", written.data, written.attributes)


def test_the_event_is_what_it_was_before_the_function_dead_lettered_it():
    letter = letter_of(b"\xff", source="till", traceparent="00-1-2-01")

    assert letter.event().data == b"\xff"
    assert dict(letter.event().attributes) == {"source": "till", "traceparent": "00-1-2-01"}
    assert (letter.reason, letter.subscription, letter.truncated) == ("unreadable_body", SOURCE, False)


def test_the_event_is_what_it_was_before_pubsub_gave_it_up():
    own = {"source": "till"}
    added = {
        "CloudPubSubDeadLetterSourceDeliveryCount": "100",
        "CloudPubSubDeadLetterSourceSubscription": "ride-events-predict",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-01-01T00:00:00.000+00:00",
        "googclient_deliveryattempt": "5",
    }
    letter = Letter("18", "ack", b"{}", own | added, ordering_key="cab 7")

    assert dict(letter.event().attributes) == own
    assert letter.event().ordering_key == "cab 7"
    assert (letter.reason, letter.subscription) == ("given_up", SOURCE)


def test_a_letter_of_which_the_function_kept_only_the_beginning_is_truncated():
    assert not letter_of(b"x" * LARGEST_DEAD_LETTER).truncated
    assert letter_of(b"x" * (LARGEST_DEAD_LETTER + 1)).truncated


def test_a_message_that_nobody_dead_lettered_has_no_reason():
    assert Letter("18", "ack", b"{}", {"source": "till"}).reason == ""


def test_letters_of_the_same_event_have_the_same_identity():
    body = json.dumps({"ride_id": 1}).encode()

    assert letter_of(body, a="1", b="2").identity() == letter_of(body, b="2", a="1").identity()
    assert letter_of(body, a="1").identity() != letter_of(body, a="2").identity()
    assert letter_of(body, a="1").identity() != letter_of(b"{}", a="1").identity()


def test_a_functions_address_is_no_topic():
    result = redrive("--from", SOURCE, RIDE_EVENTS_TOPIC="http://127.0.0.1:8081")

    assert result.exit_code == 2
    assert "http://127.0.0.1:8081 is a function's own address: without Pub/Sub" in result.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--from", "dead-letters"], "'dead-letters' must look like projects/PROJECT/subscriptions/"),
        (["--from", SOURCE, "--to", "rides"], "'rides' must look like projects/PROJECT/topics/TOPIC"),
        ([], "Missing option '--from' (env var: 'DEAD_LETTER_SUBSCRIPTION')"),
    ],
)
def test_names_that_cannot_be_are_said(words, sentence):
    result = redrive(*words)

    assert result.exit_code == 2
    assert sentence in result.output
