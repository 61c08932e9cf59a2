"""A TCP proxy between two programs that can be slow, silent, cut off, or deadly."""

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

CHUNK = 1 << 16
Address = tuple[str, int]


class Proxy:
    """Forwards connections to `upstream` from a port of its own, in a thread of its own.

    Set its attributes at any time; they hold for the connections that are open and for those to come.
    """

    def __init__(self, upstream: Address | None = None) -> None:
        self.upstream = upstream
        """Where to; None refuses every connection."""
        self.delay_seconds = 0.0
        """How much later everything from the client is passed on."""
        self.silent = False
        """Takes everything and passes nothing on; who was connected meanwhile is never heard again."""
        self.resets = 0
        """So many answers still to be replaced by a reset, after the request has been passed on."""
        self.reset_after = 0
        """Only on connections whose client has sent more bytes than that: more than a handshake."""
        self.on_answer: Callable[[], None] | None = None
        """Called, once, instead of passing the next answer on; then the connection is reset."""
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=[started], daemon=True)
        self._thread.start()
        started.wait()

    @property
    def address(self) -> str:
        """`host:port`."""
        assert self._server
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        started.set()
        self._loop.run_forever()
        self._server.close()
        self.upstream = None
        # What is being accepted becomes a task of ours one step later, and a transport closes one step later.
        self._loop.run_until_complete(asyncio.sleep(0.02))
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        for writer in self._writers:  # one whose peer does not read would stay open
            writer.transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0.02))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.append(writer)
        try:
            if self.upstream is None:
                raise ConnectionRefusedError
            there = await asyncio.open_connection(*self.upstream)
            self._writers.append(there[1])
            await _Connection(self, (reader, writer), there).run()
        except OSError:
            _reset(writer)
        except asyncio.CancelledError:  # we are closing
            writer.close()


class _Connection:
    def __init__(
        self,
        proxy: Proxy,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._sent = 0
        self._lost = False
        self._under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        """When to pass on what."""

    async def run(self) -> None:
        tasks = [asyncio.create_task(work) for work in (self._take(), self._forth(), self._back())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for writer in (self._client[1], self._server[1]):
                writer.close()

    async def _take(self) -> None:
        async for chunk in _chunks(self._client[0]):
            self._sent += len(chunk)
            self._under_way.put_nowait((time.monotonic() + self._proxy.delay_seconds, chunk))

    async def _forth(self) -> None:
        while True:
            due, chunk = await self._under_way.get()
            await asyncio.sleep(due - time.monotonic())
            await self._pass_on(chunk, self._server[1])

    async def _back(self) -> None:
        async for chunk in _chunks(self._server[0]):
            if self._cut():
                _reset(self._client[1])
                return
            await self._pass_on(chunk, self._client[1])

    def _cut(self) -> bool:
        proxy = self._proxy
        if proxy.on_answer:
            call, proxy.on_answer = proxy.on_answer, None
            call()
            return True
        if proxy.resets and self._sent > proxy.reset_after:
            proxy.resets -= 1
            return True
        return False

    async def _pass_on(self, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        self._lost = self._lost or self._proxy.silent
        if not self._lost:
            with contextlib.suppress(ConnectionError):
                writer.write(chunk)
                await writer.drain()


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(CHUNK):
            yield chunk


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST, as a machine does that has gone."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    writer.transport.abort()


@contextlib.contextmanager
def between(upstream: Address | None = None) -> Iterator[Proxy]:
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
