"""Reads request bodies with limits on time and size, and on the memory that all bodies take together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from functions.errors import Overloaded, RidecastError, TooLarge

MAX_TOTAL_BYTES = 64 << 20
"""For all bodies together: several of Pub/Sub's largest events; handling one takes three times its size."""


class IncompleteBody(RidecastError):
    """The body did not arrive completely and in time: 408."""


class BodyReader:
    """Reads the request bodies of one function; for one event loop.

    One body has at most `max_bytes`; all bodies in memory at once have at most `max_total_bytes`.
    """

    def __init__(self, max_bytes: int, max_total_bytes: int = MAX_TOTAL_BYTES) -> None:
        self._max_bytes = max_bytes
        self._max_total_bytes = max_total_bytes
        self._total_bytes = 0

    @asynccontextmanager
    async def read(self, request: Request, deadline: float) -> AsyncIterator[bytearray]:
        """The request's body, which counts towards the total until the block ends.

        Raises:
            TooLarge: the body exceeds `max_bytes`; the rest is not read.
            Overloaded: the bodies in memory would exceed `max_total_bytes`.
            IncompleteBody: the body did not arrive completely before the deadline, in the event loop's time.
        """
        body = bytearray()
        try:
            await self._read_into(body, request, deadline)
            yield body
        finally:
            self._total_bytes -= len(body)

    async def _read_into(self, body: bytearray, request: Request, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                async for chunk in request.stream():
                    if len(body) + len(chunk) > self._max_bytes:
                        raise TooLarge(self._max_bytes)
                    if self._total_bytes + len(chunk) > self._max_total_bytes:
                        raise Overloaded(f"requests of {self._total_bytes} bytes are already being processed")
                    self._total_bytes += len(chunk)
                    body += chunk
        except ClientDisconnect as error:
            raise IncompleteBody("the client disconnected before the complete body arrived") from error
        except TimeoutError:
            raise IncompleteBody("the complete body did not arrive in time") from None
