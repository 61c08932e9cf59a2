"""Where ride events go in.

`projects/P/topics/T`, or a file, or the function's own `http://` address, which is given push envelopes.
"""

import base64
import itertools
import queue
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec
import requests

from functions.errors import RidecastError
from jobs.events.pubsub_clients import publisher_client

CONFIRM_SECONDS = 60.0
"""How long an event may take until it is confirmed, with all its tries."""
AGAIN_SECONDS = 1.0
"""Between two tries to post an envelope: the Pub/Sub emulator's own pace."""
IN_FLIGHT = 2
"""Envelopes posted at the same time: what the emulator does for a push subscription."""


class NotDelivered(RidecastError):
    """An event was sent and nobody confirmed that it had arrived."""


class Inlet(Protocol):
    """Takes events."""

    def send(self, body: bytes) -> None:
        """Sends one event on its way, without waiting until it has arrived."""

    def finish(self) -> None:
        """Returns when everything sent has arrived.

        Raises:
            NotDelivered: something has not.
        """


def open_inlet(place: str, emulator: str = "") -> Inlet:
    """An inlet to a topic, to the function at an `http://` address, or to a file.

    Args:
        emulator: the Pub/Sub emulator's `host:port`; empty leaves it to the environment.
    """
    if "://" in place:
        return FunctionInlet(place)
    return TopicInlet(place, emulator) if place.startswith("projects/") else FileInlet(Path(place))


class TopicInlet:
    """Publishes to a Pub/Sub topic."""

    def __init__(self, topic: str, emulator: str) -> None:
        self._topic = topic
        self._client = publisher_client(emulator)
        self._sent: list[Future[str]] = []

    def send(self, body: bytes) -> None:
        self._sent.append(self._client.publish(self._topic, body))

    def finish(self) -> None:
        deadline = time.monotonic() + CONFIRM_SECONDS
        for confirmed in self._sent:
            try:
                confirmed.result(max(deadline - time.monotonic(), 0))
            except Exception as error:
                raise NotDelivered(f"{self._topic} did not confirm an event: {error}") from error
        self._sent.clear()
        self._client.stop()


class FunctionInlet:
    """Posts push envelopes straight to the function, again and again until it says done."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count(1)
        self._waiting: queue.Queue[bytes] = queue.Queue()
        self._failure: NotDelivered | None = None
        for _ in range(IN_FLIGHT):
            threading.Thread(target=self._post_all, daemon=True).start()

    def send(self, body: bytes) -> None:
        self._waiting.put(push_envelope(body, str(next(self._numbers))))

    def finish(self) -> None:
        self._waiting.join()
        if self._failure:
            raise self._failure

    def _post_all(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Content-Type"] = "application/json"
            while True:
                envelope = self._waiting.get()
                try:
                    self._post(session, envelope)
                except NotDelivered as failure:
                    self._failure = failure
                finally:
                    self._waiting.task_done()

    def _post(self, session: requests.Session, envelope: bytes) -> None:
        deadline = time.monotonic() + CONFIRM_SECONDS
        while True:
            try:
                answer = session.post(self._url, envelope, timeout=CONFIRM_SECONDS)
                if answer.ok:
                    return
                what = f"answered {answer.status_code}"
            except requests.RequestException as error:
                what = f"did not answer: {error}"
            if self._failure or time.monotonic() > deadline:
                raise NotDelivered(f"{self._url} {what}")
            time.sleep(AGAIN_SECONDS)


class FileInlet:
    """Appends lines, as the function does where there is no Pub/Sub."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")

    def send(self, body: bytes) -> None:
        self._file.write(msgspec.json.encode({"attributes": {}, "data": msgspec.Raw(body)}) + b"\n")

    def finish(self) -> None:
        self._file.close()


def push_envelope(body: bytes, message_id: str) -> bytes:
    """What Pub/Sub would post for a message with this body."""
    message = {
        "data": base64.b64encode(body).decode(),
        "attributes": {},
        "messageId": message_id,
        "publishTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    subscription = "projects/ridecast-local/subscriptions/ride-events-predict"
    return msgspec.json.encode({"message": message, "subscription": subscription})
