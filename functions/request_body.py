"""Request bodies: whole, in time, in memory once, and no more of them at once than the memory holds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

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

    @asynccontextmanager
    async def read(self, request: Request, deadline: float) -> AsyncIterator[bytearray]:
        """The request's body, for as long as the block lasts.

        Args:
            deadline: by the event loop's clock.

        Raises:
            TooLarge: it has more bytes; the rest is not read.
            Overloaded: with the bodies that are held it would be too much.
            NotWhole: it did not come whole until the deadline.
        """
        body = bytearray()
        try:
            await self._fill(body, request, deadline)
            yield body
        finally:
            self._held -= len(body)

    async def _fill(self, body: bytearray, request: Request, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                async for chunk in request.stream():
                    if len(body) + len(chunk) > self._largest:
                        raise TooLarge(self._largest)
                    if self._held + len(chunk) > self._most:
                        raise Overloaded(f"{self._held} bytes are being worked on")
                    self._held += len(chunk)
                    body += chunk
        except ClientDisconnect as error:
            raise NotWhole("the sender closed the connection before the whole body had come") from error
        except TimeoutError:
            raise NotWhole("the body did not come in time") from None
