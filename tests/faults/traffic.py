"""Traffic over raw keep-alive connections: light enough to share two cores with what it measures."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

IDLE_SECONDS = 1.0
"""After which a connection is not used again: the server closes it after 2."""
MOST_BEHIND = 32
"""Sent in a row by a pacer that is late, before it lets the answers in."""

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


class Answer(NamedTuple):
    """An HTTP answer; its head as it came, in lower case."""

    status: int
    head: bytes
    body: bytes


def post(path: str, body: bytes) -> bytes:
    """A POST of JSON, as it goes over the wire."""
    return (
        f"POST {path} HTTP/1.1\r\nhost: function\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body


class _Connection(asyncio.Protocol):
    """Asks one thing after the other; every answer must say its length, as the functions' do."""

    def __init__(self) -> None:
        self._come = bytearray()
        self._answer: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("closed before the whole answer had come"))

    def data_received(self, data: bytes) -> None:
        self._come += data
        head_size = self._come.find(b"\r\n\r\n") + 4
        if head_size < 4:
            return
        head = bytes(self._come[:head_size])
        length = _LENGTH.search(head)
        size = head_size + (int(length[1]) if length else 0)
        if len(self._come) < size:
            return
        body = bytes(self._come[head_size:size])
        self._come.clear()
        if self._answer and not self._answer.done():
            self._answer.set_result(Answer(int(head[9:12]), head.lower(), body))

    async def ask(self, request: bytes) -> Answer:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self._transport.abort()


class Client:
    """Asks the server at a port of this machine, over at most `most` connections at once."""

    def __init__(self, port: int, most: int) -> None:
        self._port = port
        self._free = asyncio.Semaphore(most)
        self._idle: list[tuple[float, _Connection]] = []
        """With the time of their last answer, the last used at the end."""

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        for _, connection in self._idle:
            connection.close()

    @property
    def busy(self) -> bool:
        """Whether a question would have to wait for a connection."""
        return self._free.locked()

    async def ask(self, request: bytes) -> Answer:
        """The answer; waits for a free connection.

        Raises:
            ConnectionError: the connection was refused, or ended before the answer.
        """
        async with self._free:
            connection = await self._connection()
            try:
                answer = await connection.ask(request)
            except BaseException:
                connection.close()
                raise
            self._idle.append((time.monotonic(), connection))
            return answer

    async def _connection(self) -> _Connection:
        while self._idle:
            since, connection = self._idle.pop()
            if connection.open and time.monotonic() - since < IDLE_SECONDS:
                return connection
            connection.close()
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(_Connection, "127.0.0.1", self._port))[1]


async def offer(rate: float, seconds: float, send: Callable[[float], Awaitable[None] | None]) -> None:
    """An open loop: sends at its own pace, however long the answers take, and waits for the last.

    Args:
        rate: how often a second.
        send: called with the time, by `time.time`, at which it should be called; what it gives is awaited
            beside the others.
    """
    began = time.time()
    behind = 0
    async with asyncio.TaskGroup() as group:
        for number in range(round(rate * seconds)):
            due = began + number / rate
            early = due - time.time()
            behind = behind + 1 if early <= 0 else 0
            if early > 0 or behind % MOST_BEHIND == 0:
                await asyncio.sleep(max(early, 0))
            if time.time() > began + seconds:
                return
            if work := send(due):
                group.create_task(_awaited(work))


async def saturate(workers: int, seconds: float, send: Callable[[float], Awaitable[None]]) -> float:
    """A closed loop: so many workers, each sends when its last answer has come.

    Returns:
        How many were answered a second.
    """
    answered = 0
    began = time.time()

    async def work() -> None:
        nonlocal answered
        while (now := time.time()) < began + seconds:
            await send(now)
            answered += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
    return answered / (time.time() - began)


async def _awaited(work: Awaitable[None]) -> None:
    await work
