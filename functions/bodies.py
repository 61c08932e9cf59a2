"""Request bodies: whole, in time, in memory once, and no more of them at once than the memory holds."""

import asyncio
from types import TracebackType

from starlette.requests import Request

from functions.errors import Overloaded, RidecastError, TooLarge

MOST_BYTES = 64 << 20
"""Of all bodies at once: several of Pub/Sub's largest events, and handling one takes thrice its size."""


class NotWhole(RidecastError):
    """The body did not come whole, or not in time: 408."""


class Bodies:
    """Reads the bodies of one function's requests; for one event loop.

    Args:
        largest: bytes of one body that are read.
        most: bytes of all that are held at once.
    """

    def __init__(self, largest: int, most: int = MOST_BYTES) -> None:
        self._largest = largest
        self._most = most
        self._held = 0

    def read(self, request: Request, deadline: float) -> "_Reading":
        """`async with bodies.read(request, deadline) as body`: the body, for as long as the block lasts.

        Args:
            deadline: by the event loop's clock.

        Raises:
            TooLarge: it has more bytes; the rest is not read.
            Overloaded: with the bodies that are held it would be too much.
            NotWhole: it did not come whole until the deadline.
        """
        return _Reading(self, request, deadline)

    async def fill(self, body: bytearray, request: Request, deadline: float) -> None:
        """Reads all of the request into `body`."""
        try:
            async with asyncio.timeout_at(deadline):
                while await self._take(body, request):
                    pass
        except TimeoutError:
            raise NotWhole("the body did not come in time") from None

    async def _take(self, body: bytearray, request: Request) -> bool:
        """Reads the next chunk; whether more are to come."""
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise NotWhole("the sender closed the connection before the whole body had come")
        chunk = message.get("body", b"")
        if len(body) + len(chunk) > self._largest:
            raise TooLarge(self._largest)
        if self._held + len(chunk) > self._most:
            raise Overloaded(f"{self._held} bytes are being worked on")
        self._held += len(chunk)
        body += chunk
        return bool(message.get("more_body", False))

    def give_back(self, body: bytearray) -> None:
        """Makes room for others."""
        self._held -= len(body)


class _Reading:
    def __init__(self, bodies: Bodies, request: Request, deadline: float) -> None:
        self._bodies = bodies
        self._request = request
        self._deadline = deadline
        self._body = bytearray()

    async def __aenter__(self) -> bytearray:
        try:
            await self._bodies.fill(self._body, self._request, self._deadline)
        except BaseException:
            self._bodies.give_back(self._body)
            raise
        return self._body

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._bodies.give_back(self._body)
