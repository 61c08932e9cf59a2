import base64
import json
import time
from datetime import UTC, datetime

import pytest
from google.pubsub_v1 import types

from functions.errors import RidecastError
from jobs.events import subscribers
from jobs.events.publishers import open_publisher
from jobs.events.subscribers import open_subscriber

SUBSCRIPTION = "projects/p/subscriptions/s"


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.005)


def test_lines_of_a_file_are_received_as_they_are_written(tmp_path):
    messages = []
    path = tmp_path / "predictions.jsonl"
    subscriber = open_subscriber(str(path), messages.append)

    with path.open("ab", buffering=0) as file:
        file.write(b'{"attributes": {"version": "1"}, "data": {"ride_id": 1}}\n{"attributes": {}, ')
        wait_for(lambda: len(messages) == 1)
        file.write(b'"data_base64": "%s"}\n' % base64.b64encode(b"\xff"))
        wait_for(lambda: len(messages) == 2)
    subscriber.close()

    assert json.loads(messages[0].data) == {"ride_id": 1}
    assert messages[0].attributes == {"version": "1"}
    assert time.time() - 10 < messages[0].published <= time.time()
    assert messages[1].data == b"\xff"


class FakeClient:
    """Returns one message from each pull until it is acknowledged, and records the calls."""

    def __init__(self, calls):
        self.calls = calls

    def pull(self, **_):
        message = types.PubsubMessage(data=b"1", publish_time=datetime.now(UTC))
        unacknowledged = "acknowledge" not in self.calls
        received = types.ReceivedMessage(ack_id="a", message=message)
        return types.PullResponse(received_messages=[received] * unacknowledged)

    def acknowledge(self, **_):
        self.calls.append("acknowledge")

    def close(self):
        pass


@pytest.fixture
def calls(monkeypatch):
    calls = []
    monkeypatch.setattr(subscribers, "subscriber_client", lambda _: FakeClient(calls))
    return calls


def test_messages_are_committed_before_they_are_acknowledged(calls):
    subscriber = open_subscriber(
        SUBSCRIPTION,
        lambda _: calls.append("callback"),
        commit=lambda: calls.append("commit"),
    )
    wait_for(lambda: "acknowledge" in calls)
    subscriber.close()
    assert calls == ["callback", "commit", "acknowledge"]


def test_messages_that_cannot_be_committed_are_not_acknowledged_and_the_subscriber_stops(calls):
    def commit():
        raise RidecastError("the disk is full")

    subscriber = open_subscriber(SUBSCRIPTION, lambda _: calls.append("callback"), commit=commit)
    wait_for(lambda: subscriber.failure)
    with pytest.raises(RidecastError, match="the disk is full"):
        subscriber.close()
    assert calls == ["callback"]


def test_a_subscriber_reads_what_a_publisher_wrote_to_a_file(tmp_path):
    path = tmp_path / "events.jsonl"
    publisher = open_publisher(str(path))
    publisher.send(b'{"ride_id": 256}')
    publisher.finish()
    with path.open("ab") as file:
        file.write(b"malformed\n")
    seen, commits = [], []
    subscriber = open_subscriber(
        str(tmp_path / "events.jsonl"), seen.append, commit=lambda: commits.append(len(seen))
    )
    wait_for(lambda: commits)
    subscriber.close()
    assert [message.data for message in seen] == [b'{"ride_id":256}', b"malformed"]
    assert commits == [2]
