"""Subscribers to events: from a Pub/Sub subscription, or from a file to which the function writes."""

import base64
import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
from google.api_core.exceptions import DeadlineExceeded, GoogleAPICallError

from functions.errors import RidecastError
from jobs.events.pubsub_clients import subscriber_client

RETRY_SECONDS = 1.0
"""Pause after a pull that failed."""
PULL_SECONDS = 1.0
"""Time limit of one pull, which waits for a first message."""
MAX_MESSAGES = 100
"""Messages per pull."""
MAX_BYTES = 1 << 20
"""Bytes read from a file between two commits."""
POLL_SECONDS = 0.002
"""Pause between two checks of a file for new lines."""


class ReceivedMessage(NamedTuple):
    """A message from a subscription or a file."""

    data: bytes
    attributes: Mapping[str, str]
    published: float
    """Unix time in seconds: Pub/Sub's publish time, or when the line was read from the file."""


Callback = Callable[[ReceivedMessage], None]
Condition = Callable[[ReceivedMessage], bool]


class EventSubscriber(ABC):
    """Passes messages to a callback, on a thread of its own, until it is closed."""

    def __init__(self, callback: Callback, commit: Callable[[], None]) -> None:
        self.last_error = ""
        """Why messages cannot be received at present; empty if they can."""
        self.failure: RidecastError | None = None
        """The error of callback or commit that stopped this subscriber."""
        self._callback = callback
        self._commit = commit
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops receiving; raises the RidecastError with which callback or commit stopped it, if any."""
        self._closed.set()
        self._thread.join()
        if self.failure:
            raise self.failure

    def _run(self) -> None:
        try:
            self._receive()
        except RidecastError as error:
            self.failure = error

    @abstractmethod
    def _receive(self) -> None: ...


def accept_all(_: ReceivedMessage) -> bool:
    """Accepts every message."""
    return True


def open_subscriber(
    source: str,
    callback: Callback,
    emulator: str = "",
    commit: Callable[[], None] = lambda: None,
    accept: Condition = accept_all,
) -> EventSubscriber:
    """Starts receiving from a subscription, or from a file, which is created if it does not exist.

    Args:
        source: `projects/P/subscriptions/S`, or a file's path.
        callback: called with each accepted message.
        emulator: `host:port` of the Pub/Sub emulator; if empty, PUBSUB_EMULATOR_HOST applies.
        commit: called after each batch of messages, before they are acknowledged. If it raises a
            RidecastError, they are not acknowledged, and the subscriber stops.
        accept: selects messages; the others are neither passed on nor acknowledged, and become available
            to other subscribers of the subscription again when this one is closed.
    """
    if source.startswith("projects/"):
        return PubSubEventSubscriber(source, callback, emulator, commit, accept)
    return FileEventSubscriber(Path(source), lambda each: callback(each) if accept(each) else None, commit)


class PubSubEventSubscriber(EventSubscriber):
    """Receives from a Pub/Sub subscription by unary pulls.

    Streaming pull is avoided: the emulator keeps sending messages to a stream for a while after its reader
    has left, and the next reader misses them.
    """

    def __init__(
        self,
        subscription: str,
        callback: Callback,
        emulator: str,
        commit: Callable[[], None],
        accept: Condition,
    ) -> None:
        self._subscription = subscription
        self._accept = accept
        self._unaccepted: list[str] = []
        """Ack ids, to be released at the end."""
        self._client = subscriber_client(emulator)
        super().__init__(callback, commit)

    def _receive(self) -> None:
        while not self._closed.is_set():
            try:
                self._pull()
                self.last_error = ""
            except DeadlineExceeded:
                self.last_error = ""  # no message arrived
            except GoogleAPICallError as error:
                self.last_error = f"cannot pull from {self._subscription}: {error.message}"
                self._closed.wait(RETRY_SECONDS)

    def _pull(self) -> None:
        response = self._client.pull(
            subscription=self._subscription, max_messages=MAX_MESSAGES, retry=None, timeout=PULL_SECONDS
        )
        accepted = []
        for received in response.received_messages:
            pubsub = received.message
            message = ReceivedMessage(pubsub.data, dict(pubsub.attributes), pubsub.publish_time.timestamp())
            if self._accept(message):
                self._callback(message)
                accepted.append(received.ack_id)
            else:
                self._unaccepted.append(received.ack_id)
        if accepted:
            self._commit()
            self._client.acknowledge(subscription=self._subscription, ack_ids=accepted)

    def close(self) -> None:
        try:
            super().close()
        finally:
            # If this fails, the messages become available when their leases expire.
            with contextlib.suppress(GoogleAPICallError):
                for begin in range(0, len(self._unaccepted), MAX_MESSAGES):
                    self._client.modify_ack_deadline(
                        subscription=self._subscription,
                        ack_ids=self._unaccepted[begin : begin + MAX_MESSAGES],
                        ack_deadline_seconds=0,
                        timeout=PULL_SECONDS,
                    )
            self._client.close()


class FileEventSubscriber(EventSubscriber):
    """Follows the lines that the function appends to a file: `{"attributes": {…}, "data": …}`."""

    def __init__(self, path: Path, callback: Callback, commit: Callable[[], None]) -> None:
        path.touch()
        self._path = path
        super().__init__(callback, commit)

    def _receive(self) -> None:
        unfinished = b""
        with self._path.open("rb") as file:
            while not self._closed.wait(POLL_SECONDS):
                *lines, unfinished = (unfinished + file.read(MAX_BYTES)).split(b"\n")
                now = time.time()
                for line in lines:
                    self._callback(_parse_line(line, now))
                if lines:
                    self._commit()


def _parse_line(line: bytes, now: float) -> ReceivedMessage:
    """The message in a line; a malformed line is passed on as data, for the callback to judge."""
    try:
        message = msgspec.json.decode(line)
        if "data_base64" in message:
            data = base64.b64decode(message["data_base64"])
        else:
            data = msgspec.json.encode(message["data"])
        return ReceivedMessage(data, message["attributes"], now)
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError):
        return ReceivedMessage(line, {}, now)
