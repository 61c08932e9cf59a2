import base64
import json
import time
from datetime import UTC, datetime

import pytest
from google.pubsub_v1.types import PubsubMessage, PullResponse, ReceivedMessage

from functions.errors import RidecastError
from jobs.events import subscribers
from jobs.events.publishers import open_inlet
from jobs.events.subscribers import open_outlet


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def test_a_file_gives_its_lines_as_they_come(tmp_path):
    arrived = []
    path = tmp_path / "predictions.jsonl"
    outlet = open_outlet(str(path), arrived.append)

    with path.open("ab", buffering=0) as file:
        file.write(b'{"attributes": {"version": "1"}, "data": {"ride_id": 1}}\n{"attributes": {}, ')
        wait_for(lambda: len(arrived) == 1)
        file.write(b'"data_base64": "%s"}\n' % base64.b64encode(b"\xff"))
        wait_for(lambda: len(arrived) == 2)
    outlet.close()

    assert json.loads(arrived[0].data) == {"ride_id": 1}
    assert arrived[0].attributes == {"version": "1"}
    assert time.time() - 10 < arrived[0].published <= time.time()
    assert arrived[1].data == b"\xff"


class Subscriber:
    """Gives one message, again and again until it is acknowledged, and notes what happens."""

    def __init__(self, story):
        self.story = story

    def pull(self, **_):
        message = PubsubMessage(data=b"1", publish_time=datetime.now(UTC))
        left = "acknowledged" not in self.story
        return PullResponse(received_messages=[ReceivedMessage(ack_id="a", message=message)] * left)

    def acknowledge(self, **_):
        self.story.append("acknowledged")

    def close(self):
        pass


@pytest.fixture
def story(monkeypatch):
    story = []
    monkeypatch.setattr(subscribers, "subscriber_client", lambda _: Subscriber(story))
    return story


def test_messages_are_kept_before_they_are_acknowledged(story):
    outlet = open_outlet(
        "projects/p/subscriptions/s", lambda _: story.append("taken"), keep=lambda: story.append("kept")
    )
    wait_for(lambda: "acknowledged" in story)
    outlet.close()
    assert story == ["taken", "kept", "acknowledged"]


def test_what_cannot_be_kept_is_not_acknowledged_and_no_more_is_given(story):
    def keep():
        raise RidecastError("the disk is full")

    outlet = open_outlet("projects/p/subscriptions/s", lambda _: story.append("taken"), keep=keep)
    wait_for(lambda: outlet.failure)
    with pytest.raises(RidecastError, match="the disk is full"):
        outlet.close()
    assert story == ["taken"]


def test_what_goes_into_a_file_comes_out_of_it(tmp_path):
    inlet = open_inlet(str(tmp_path / "events.jsonl"))
    inlet.send(b'{"ride_id": 256}')
    inlet.finish()
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b"no message\n")
    seen, kept = [], []
    outlet = open_outlet(str(tmp_path / "events.jsonl"), seen.append, keep=lambda: kept.append(len(seen)))
    wait_for(lambda: kept)
    outlet.close()
    assert [arrival.data for arrival in seen] == [b'{"ride_id":256}', b"no message"]
    assert kept == [2]
