"""Where prediction events come out.

`projects/P/subscriptions/S`, or the file that the function writes where there is no Pub/Sub.
"""

import base64
import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
from google.api_core.exceptions import DeadlineExceeded, GoogleAPICallError

from functions.errors import RidecastError
from jobs.events.pubsub_clients import subscriber_client

AGAIN_SECONDS = 1.0
"""Between two pulls, when one has failed."""
PULL_SECONDS = 1.0
"""For one pull, which waits for a first message."""
MOST_AT_ONCE = 100
MOST_BYTES_AT_ONCE = 1 << 20
"""Of a file, before what was taken of it is kept."""
LOOK_SECONDS = 0.002
"""Between two looks into a file for new lines."""


class Arrival(NamedTuple):
    """One message that came out."""

    data: bytes
    attributes: Mapping[str, str]
    published: float
    """Seconds since 1970: Pub/Sub's publish time, or when we saw the line in the file."""


class Outlet(Protocol):
    """Gives messages to a function, from a thread of its own, until it is closed."""

    trouble: str
    """Why nothing comes at present; empty where nothing is known of it."""
    failure: RidecastError | None
    """Why no more is given."""

    def close(self) -> None:
        """Gives no more messages.

        Raises:
            RidecastError: what was taken could not be kept, and no more was given since.
        """


def everything(_: Arrival) -> bool:
    """Wants any message."""
    return True


def open_outlet(
    place: str,
    take: Callable[[Arrival], None],
    emulator: str = "",
    keep: Callable[[], None] = lambda: None,
    wanted: Callable[[Arrival], bool] = everything,
) -> Outlet:
    """An outlet from a subscription, or from a file that may not be there yet; see `open_inlet`.

    Args:
        keep: is called when some have been taken, and before they are acknowledged; if it raises a
            RidecastError, they are not, and the outlet gives no more.
        wanted: which messages to give and to acknowledge; a subscription has the others again at the end.
    """
    if place.startswith("projects/"):
        return SubscriptionOutlet(place, take, emulator, keep, wanted)
    return FileOutlet(Path(place), lambda arrival: take(arrival) if wanted(arrival) else None, keep)


class SubscriptionOutlet:
    """Pulls from a Pub/Sub subscription, call by call.

    Not by a streaming pull: the emulator goes on giving messages to a stream for a while after its
    reader has left, and the next reader misses them.
    """

    def __init__(
        self,
        subscription: str,
        take: Callable[[Arrival], None],
        emulator: str,
        keep: Callable[[], None],
        wanted: Callable[[Arrival], bool],
    ) -> None:
        self.trouble = ""
        self.failure: RidecastError | None = None
        self._subscription = subscription
        self._take = take
        self._keep = keep
        self._wanted = wanted
        self._others: list[str] = []
        """Ack ids of what was not wanted; each comes again when its lease ends."""
        self._client = subscriber_client(emulator)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._pull_all, daemon=True)
        self._thread.start()

    def _pull_all(self) -> None:
        while not self._closed.is_set():
            try:
                self._pull()
                self.trouble = ""
            except DeadlineExceeded:
                self.trouble = ""  # nothing came
            except GoogleAPICallError as error:
                self.trouble = f"{self._subscription} gives nothing: {error.message}"
                self._closed.wait(AGAIN_SECONDS)
            except RidecastError as error:
                self.failure = error
                return

    def _pull(self) -> None:
        answer = self._client.pull(
            subscription=self._subscription, max_messages=MOST_AT_ONCE, retry=None, timeout=PULL_SECONDS
        )
        taken = []
        for received in answer.received_messages:
            message = received.message
            arrival = Arrival(message.data, dict(message.attributes), message.publish_time.timestamp())
            if self._wanted(arrival):
                self._take(arrival)
                taken.append(received.ack_id)
            else:
                self._others.append(received.ack_id)
        if taken:
            self._keep()
            self._client.acknowledge(subscription=self._subscription, ack_ids=taken)

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        # Without this they come again all the same, when their leases end.
        with contextlib.suppress(GoogleAPICallError):
            for begin in range(0, len(self._others), MOST_AT_ONCE):
                some = self._others[begin : begin + MOST_AT_ONCE]
                self._client.modify_ack_deadline(
                    subscription=self._subscription,
                    ack_ids=some,
                    ack_deadline_seconds=0,
                    timeout=PULL_SECONDS,
                )
        self._client.close()
        if self.failure:
            raise self.failure


class FileOutlet:
    """Reads the lines that the function appends: `{"attributes": {…}, "data": …}`."""

    def __init__(self, path: Path, take: Callable[[Arrival], None], keep: Callable[[], None]) -> None:
        self._take = take
        self._keep = keep
        self.failure: RidecastError | None = None
        self.trouble = ""
        self._closed = threading.Event()
        path.touch()
        self._thread = threading.Thread(target=self._follow, args=[path], daemon=True)
        self._thread.start()

    def _follow(self, path: Path) -> None:
        unfinished = b""
        with path.open("rb") as file:
            while not self._closed.wait(LOOK_SECONDS):
                *lines, unfinished = (unfinished + file.read(MOST_BYTES_AT_ONCE)).split(b"\n")
                now = time.time()
                try:
                    for line in lines:
                        self._take(_arrival(line, now))
                    if lines:
                        self._keep()
                except RidecastError as error:
                    self.failure = error
                    return

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        if self.failure:
            raise self.failure


def _arrival(line: bytes, now: float) -> Arrival:
    """A line's message; a line that is none is one itself, which its reader may judge."""
    try:
        message = msgspec.json.decode(line)
        if "data_base64" in message:
            data = base64.b64decode(message["data_base64"])
        else:
            data = msgspec.json.encode(message["data"])
        return Arrival(data, message["attributes"], now)
    except (msgspec.MsgspecError, UnicodeDecodeError, LookupError, TypeError, ValueError):
        return Arrival(line, {}, now)
