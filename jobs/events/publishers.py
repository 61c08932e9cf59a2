"""Publishers of events: to a Pub/Sub topic, to a file, or straight to the function as push requests."""

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
"""Time limit for an event to be confirmed, retries included."""
RETRY_SECONDS = 1.0
"""Pause before an envelope is posted again, as in the Pub/Sub emulator."""
IN_FLIGHT = 2
"""Envelopes posted concurrently, as many as the emulator posts for a push subscription."""


class NotDelivered(RidecastError):
    """An event was sent but its arrival was never confirmed."""


class EventPublisher(Protocol):
    """Sends events to one destination."""

    dead_letters: list[str]
    """Why events became dead letters, if the destination says so: only the function does."""

    def send(self, body: bytes) -> None:
        """Starts sending one event; does not wait for its confirmation."""

    def finish(self) -> None:
        """Waits until every event is confirmed; raises NotDelivered if one is not in time."""


def open_publisher(destination: str, emulator: str = "") -> EventPublisher:
    """Opens a publisher to `projects/P/topics/T`, the function's `http://` address, or a file's path.

    `emulator` is the `host:port` of a Pub/Sub emulator; if empty, PUBSUB_EMULATOR_HOST applies.
    """
    if "://" in destination:
        return HttpEventPublisher(destination)
    if destination.startswith("projects/"):
        return PubSubEventPublisher(destination, emulator)
    return FileEventPublisher(Path(destination))


class PubSubEventPublisher:
    """Publishes to a Pub/Sub topic."""

    def __init__(self, topic: str, emulator: str) -> None:
        self.dead_letters: list[str] = []
        self._topic = topic
        self._client = publisher_client(emulator)
        self._confirmations: list[Future[str]] = []

    def send(self, body: bytes) -> None:
        self._confirmations.append(self._client.publish(self._topic, body))

    def finish(self) -> None:
        deadline = time.monotonic() + CONFIRM_SECONDS
        for confirmation in self._confirmations:
            try:
                confirmation.result(max(deadline - time.monotonic(), 0))
            except Exception as error:
                raise NotDelivered(f"{self._topic} did not confirm an event: {error}") from error
        self._confirmations.clear()
        self._client.stop()


class HttpEventPublisher:
    """Posts push envelopes to the function, each until the function acknowledges it."""

    def __init__(self, url: str) -> None:
        self.dead_letters: list[str] = []
        self._url = url
        self._message_ids = itertools.count(1)
        self._pending: queue.Queue[bytes] = queue.Queue()
        self._failure: NotDelivered | None = None
        for _ in range(IN_FLIGHT):
            threading.Thread(target=self._post_all, daemon=True).start()

    def send(self, body: bytes) -> None:
        self._pending.put(push_envelope(body, str(next(self._message_ids))))

    def finish(self) -> None:
        self._pending.join()
        if self._failure:
            raise self._failure

    def _post_all(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Content-Type"] = "application/json"
            while True:
                envelope = self._pending.get()
                try:
                    self._post(session, envelope)
                except NotDelivered as failure:
                    self._failure = failure
                finally:
                    self._pending.task_done()

    def _post(self, session: requests.Session, envelope: bytes) -> None:
        deadline = time.monotonic() + CONFIRM_SECONDS
        while True:
            try:
                response = session.post(self._url, envelope, timeout=CONFIRM_SECONDS)
                if response.ok:
                    self.dead_letters.extend(_dead_letter_detail(response.content))
                    return
                problem = f"answered {response.status_code}"
            except requests.RequestException as error:
                problem = f"did not answer: {error}"
            if self._failure or time.monotonic() > deadline:
                raise NotDelivered(f"{self._url} {problem}")
            time.sleep(RETRY_SECONDS)


class FileEventPublisher:
    """Appends JSON lines, in the format of the function's own file output."""

    def __init__(self, path: Path) -> None:
        self.dead_letters: list[str] = []
        self._file = path.open("ab")

    def send(self, body: bytes) -> None:
        self._file.write(msgspec.json.encode({"attributes": {}, "data": msgspec.Raw(body)}) + b"\n")

    def finish(self) -> None:
        self._file.close()


class _Outcome(msgspec.Struct):
    """The function's answer to an event."""

    outcome: str
    detail: str = ""


def _dead_letter_detail(answer: bytes) -> list[str]:
    """Why the function dead-lettered an event; empty if it did not, or does not say."""
    try:
        outcome = msgspec.json.decode(answer, type=_Outcome)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []
    return [outcome.detail] if outcome.outcome == "dead_letter" else []


def push_envelope(body: bytes, message_id: str) -> bytes:
    """The request body with which a Pub/Sub push subscription delivers a message."""
    message = {
        "data": base64.b64encode(body).decode(),
        "attributes": {},
        "messageId": message_id,
        "publishTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    subscription = "projects/ridecast-local/subscriptions/ride-events-predict"
    return msgspec.json.encode({"message": message, "subscription": subscription})
