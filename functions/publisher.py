"""Messages out: confirmed by the topic before anybody is told that they are out.

Messages are batched without a timer: what arrives while one publish call is under way goes out with the
next. Measured against the threaded client with a 1 ms timer: twice the events a second, half the wait.
"""

import asyncio
import base64
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from functions.errors import PublishFailed, SettingsError

if TYPE_CHECKING:
    from google.pubsub_v1.services.publisher import PublisherAsyncClient

CALL_SECONDS = 6.0
"""For one publish call with all its tries; an event's whole handling has less than 8."""
TRY_SECONDS = 3.0
MOST_MESSAGES = 1000
MOST_BYTES = 9_500_000
"""Of one publish call; Pub/Sub takes 1,000 messages and 10 MB."""
MOST_ATTRIBUTES = 100
LONGEST_VALUE = 1024
"""Bytes of an attribute's value that Pub/Sub takes."""

_TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")


class OutMessage(msgspec.Struct, frozen=True):
    """What is to be published."""

    data: bytes
    attributes: dict[str, str]

    def size(self) -> int:
        """Bytes on the wire, rounded up: a character has at most 4, a field's frame at most 8."""
        return len(self.data) + 16 + sum(4 * (len(n) + len(v)) + 8 for n, v in self.attributes.items())


class Publisher(Protocol):
    """Somewhere messages go."""

    async def publish(self, message: OutMessage) -> None:
        """Returns when the message is safe; the caller bounds the wait.

        Raises:
            PublishFailed: it is not known to be safe.
        """


def connect(topic: str) -> Publisher:
    """A publisher to `projects/P/topics/T`, to `stdout:` or to a file's path.

    Raises:
        SettingsError: the text is neither.
    """
    if topic == "stdout:":
        return LinePublisher(None)
    if topic.startswith("projects/"):
        if not _TOPIC.fullmatch(topic):
            raise SettingsError(f"{topic!r} must look like projects/PROJECT/topics/TOPIC")
        return TopicPublisher(topic)
    path = Path(topic)
    if ":" in topic or "topics" in path.parts or ("/" not in topic and path.suffix != ".jsonl"):
        raise SettingsError(
            f"{topic!r} is no topic: write projects/PROJECT/topics/TOPIC, stdout: or a file's path, such as "
            "./predictions.jsonl"
        )
    return LinePublisher(path)


def fit_value(text: str) -> str:
    """`text`, cut to what an attribute may hold."""
    encoded = text.encode(errors="replace")
    return text if len(encoded) <= LONGEST_VALUE else encoded[:LONGEST_VALUE].decode(errors="ignore")


class _Refused(PublishFailed):
    """The topic does not take the call's content, however often it is sent."""


class TopicPublisher:
    """Publishes to one Pub/Sub topic through Google's asyncio client, made at the first message.

    A client made earlier would not survive the fork with which gunicorn starts its worker.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._client: PublisherAsyncClient | None = None
        self._waiting: list[tuple[OutMessage, asyncio.Future[None]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def publish(self, message: OutMessage) -> None:
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((message, confirmed))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all())
        await confirmed

    async def _send_all(self) -> None:
        while batch := self._next_batch():
            error = await self._send([message for message, _ in batch])
            if isinstance(error, _Refused) and len(batch) > 1:
                # One message that the topic does not take must not fail its neighbours.
                for message, confirmed in batch:
                    _settle(confirmed, await self._send([message]))
            else:
                for _, confirmed in batch:
                    _settle(confirmed, error)

    def _next_batch(self) -> list[tuple[OutMessage, asyncio.Future[None]]]:
        """The oldest waiting messages that fit into one call, without those nobody waits for any more."""
        waiting = [item for item in self._waiting if not item[1].done()]
        count = size = 0
        for message, _ in waiting[:MOST_MESSAGES]:
            size += message.size()
            if count and size > MOST_BYTES:
                break
            count += 1
        self._waiting = waiting[count:]
        return waiting[:count]

    async def _send(self, messages: list[OutMessage]) -> PublishFailed | None:
        """One publish call with its tries; an error is returned, to be raised where the message came from."""
        # A quarter of a second of imports that a process without Pub/Sub does not need.
        from google.api_core import exceptions
        from google.api_core.retry_async import AsyncRetry
        from google.auth.exceptions import GoogleAuthError
        from google.pubsub_v1.services.publisher import PublisherAsyncClient
        from google.pubsub_v1.types import PublishRequest, PubsubMessage

        # The library's own waits grow to a minute: a 10 s outage took 68 s to heal.
        retry = AsyncRetry(
            initial=0.1,
            multiplier=1.5,
            maximum=1.0,
            timeout=CALL_SECONDS,
            predicate=lambda error: isinstance(
                error,
                exceptions.Aborted
                | exceptions.Cancelled
                | exceptions.ResourceExhausted
                | exceptions.ServerError,
            ),
        )
        try:
            self._client = self._client or PublisherAsyncClient()
            await self._client.publish(
                PublishRequest(
                    topic=self._topic,
                    messages=[PubsubMessage(data=m.data, attributes=m.attributes) for m in messages],
                ),
                retry=retry,
                timeout=TRY_SECONDS,
            )
        except (exceptions.InvalidArgument, TypeError, ValueError) as error:
            return _Refused(f"{self._topic} refuses the message: {error}")
        except (exceptions.GoogleAPIError, GoogleAuthError, OSError) as error:
            return PublishFailed(f"{self._topic} did not confirm: {error}")
        return None


def _settle(confirmed: "asyncio.Future[None]", error: PublishFailed | None) -> None:
    if confirmed.done():  # nobody waits any more
        return
    if error:
        confirmed.set_exception(error)
    else:
        confirmed.set_result(None)


class LinePublisher:
    """Appends each message as a line of JSON to a file, or to stdout, where there is no Pub/Sub.

    A line is `{"attributes": {…}, "data": …}`, with JSON written anew; data that is no JSON stands in base64
    under `data_base64`.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    async def publish(self, message: OutMessage) -> None:
        line: dict[str, Any] = {"attributes": message.attributes}
        try:
            line["data"] = msgspec.json.decode(message.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            line["data_base64"] = base64.b64encode(message.data).decode()
        encoded = msgspec.json.encode(line) + b"\n"
        try:
            if self._path is None:
                sys.stdout.buffer.write(encoded)
                sys.stdout.buffer.flush()
            else:
                # One unbuffered write to a file opened for appending is not mixed with another's.
                with self._path.open("ab", buffering=0) as file:
                    file.write(encoded)
        except OSError as error:
            raise PublishFailed(f"{self._path or 'stdout'} cannot be written: {error.strerror}") from error
