"""Messages out: confirmed by the topic before anybody is told that they are out.

Messages are batched without a timer: what arrives while one publish call is under way goes out with the
next. Measured against the threaded client with a 1 ms timer: twice the events a second, half the wait.
"""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from functions.errors import Refused, SettingsError
from functions.gc_tuning import settle
from functions.json_lines import LinePublisher
from functions.pubsub_message import OutMessage

if TYPE_CHECKING:
    from functions.pubsub_client import Topic

MOST_MESSAGES = 1000
MOST_BYTES = 9_500_000
"""Of one publish call; Pub/Sub takes 1,000 messages and 10 MB."""

_TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")


class Publisher(Protocol):
    """Somewhere messages go."""

    async def open(self) -> None:
        """Begins to get ready for the first message, which otherwise waits for that; again is harmless."""

    async def publish(self, message: OutMessage) -> None:
        """Returns when the message is safe; the caller bounds the wait.

        Raises:
            PublishFailed: it is not known to be safe.
        """


def connect(topic: str, emulator: str) -> Publisher:
    """A publisher to `projects/P/topics/T`, to `stdout:` or to a file's path.

    Args:
        emulator: `host:port` of the Pub/Sub emulator where the topic is; empty is Google's Pub/Sub.

    Raises:
        SettingsError: the text is neither.
    """
    if topic == "stdout:":
        return LinePublisher(None)
    if topic.startswith("projects/"):
        if not _TOPIC.fullmatch(topic):
            raise SettingsError(f"{topic!r} must look like projects/PROJECT/topics/TOPIC")
        return TopicPublisher(topic, emulator)
    path = Path(topic)
    if ":" in topic or "topics" in path.parts or ("/" not in topic and path.suffix != ".jsonl"):
        raise SettingsError(
            f"{topic!r} is no topic: write projects/PROJECT/topics/TOPIC, stdout: or a file's path, such as "
            "./predictions.jsonl"
        )
    return LinePublisher(path)


class TopicPublisher:
    """Publishes to one Pub/Sub topic; connects when it is opened, or at the first message.

    A client made earlier would not survive the fork with which gunicorn starts its worker.
    """

    def __init__(self, topic: str, emulator: str) -> None:
        self._name = topic
        self._emulator = emulator
        self._topic: Topic | None = None
        self._waiting: list[tuple[OutMessage, asyncio.Future[None]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def open(self) -> None:
        (await self._made()).open()

    async def publish(self, message: OutMessage) -> None:
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((message, confirmed))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all())
        await confirmed

    async def _send_all(self) -> None:
        while batch := self._next_batch():
            await self._send(batch)

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

    async def _send(self, batch: Sequence[tuple[OutMessage, asyncio.Future[None]]]) -> None:
        """Sends a batch and tells everyone in it what came of it."""
        failure: Exception | None = None
        try:
            topic = await self._made()
            await topic.publish([message for message, _ in batch])
        except Refused as error:
            if len(batch) > 1:
                # One message that the topic does not take must not fail its neighbours.
                middle = len(batch) // 2
                await self._send(batch[:middle])
                await self._send(batch[middle:])
                return
            failure = error
        except Exception as error:  # a bug, too, is for who waits: here nobody would see it
            failure = error
        for _, confirmed in batch:
            _settle(confirmed, failure)

    async def _made(self) -> "Topic":
        if self._topic is None:
            # On the event loop the import held up /health for 80 ms, here for 20; a start takes as long.
            made = await asyncio.to_thread(_new_topic, self._name, self._emulator)
            # Who opens and who publishes may both have waited for one; the first is everybody's.
            if self._topic is None:
                self._topic = made
                settle()
        return self._topic


def _new_topic(name: str, emulator: str) -> "Topic":
    from functions.pubsub_client import Topic

    return Topic(name, emulator)


def _settle(confirmed: "asyncio.Future[None]", failure: Exception | None) -> None:
    if confirmed.done():  # nobody waits any more
        return
    if failure:
        confirmed.set_exception(failure)
    else:
        confirmed.set_result(None)
