"""Where ride events go in and prediction events come out.

In:  `projects/P/topics/T`, or the function's own `http://` address, which is given Pub/Sub push envelopes, or
     a file.
Out: `projects/P/subscriptions/S`, or the file that the function writes where there is no Pub/Sub.
"""

import base64
import contextlib
import itertools
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

import grpc  # type: ignore[import-untyped]
import msgspec
import requests
from google.api_core.exceptions import DeadlineExceeded, GoogleAPICallError
from google.cloud import pubsub_v1  # type: ignore[attr-defined]  # it brings no types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from functions.errors import RidecastError

CONFIRM_SECONDS = 60.0
"""How long an event may take until it is confirmed, with all its tries."""
AGAIN_SECONDS = 1.0
"""Between two tries to post an envelope: the Pub/Sub emulator's own pace."""
IN_FLIGHT = 2
"""Envelopes posted at the same time: what the emulator does for a push subscription."""
PULL_SECONDS = 1.0
"""For one pull, which waits for a first message."""
MOST_AT_ONCE = 100
MOST_BYTES_AT_ONCE = 1 << 20
"""Of a file, before what was taken of it is kept."""
LOOK_SECONDS = 0.002
"""Between two looks into a file for new lines."""


class NotDelivered(RidecastError):
    """An event was sent and nobody confirmed that it had arrived."""


class Arrival(NamedTuple):
    """One message that came out."""

    data: bytes
    attributes: Mapping[str, str]
    published: float
    """Seconds since 1970: Pub/Sub's publish time, or when we saw the line in the file."""


class Inlet(Protocol):
    """Takes events."""

    def send(self, body: bytes) -> None:
        """Sends one event on its way, without waiting until it has arrived."""

    def finish(self) -> None:
        """Returns when everything sent has arrived.

        Raises:
            NotDelivered: something has not.
        """


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


def open_inlet(place: str, emulator: str = "") -> Inlet:
    """An inlet to a topic, to the function at an `http://` address, or to a file.

    Args:
        emulator: the Pub/Sub emulator's `host:port`; empty leaves it to the environment.
    """
    if "://" in place:
        return FunctionInlet(place)
    return TopicInlet(place, emulator) if place.startswith("projects/") else FileInlet(Path(place))


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


def publisher_client(emulator: str = "") -> pubsub_v1.PublisherClient:
    """Sends each message at once: waiting for company would add to every latency we measure."""
    at_once = pubsub_v1.types.BatchSettings(max_messages=1)
    if not emulator:
        return pubsub_v1.PublisherClient(batch_settings=at_once)
    transport = PublisherGrpcTransport(channel=grpc.insecure_channel(emulator))
    return pubsub_v1.PublisherClient(batch_settings=at_once, transport=transport)


def subscriber_client(emulator: str = "") -> pubsub_v1.SubscriberClient:
    """Google's client for the emulator, or for what the environment says."""
    emulator = emulator or os.environ.get("PUBSUB_EMULATOR_HOST", "")
    if not emulator:
        return pubsub_v1.SubscriberClient()
    # Of an emulator, unlike of Google's Pub/Sub, the client takes only 4 MB unless told otherwise.
    unlimited = [("grpc.max_receive_message_length", -1)]
    transport = SubscriberGrpcTransport(channel=grpc.insecure_channel(emulator, options=unlimited))
    return pubsub_v1.SubscriberClient(transport=transport)


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
