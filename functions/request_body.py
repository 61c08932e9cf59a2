"""Reads request bodies with limits on time and size, and on the memory that all bodies take together."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from functions.errors import InvalidRide, Overloaded, Problem, RidecastError, TooLarge, UnreadableBody

MAX_TOTAL_BYTES = 64 << 20
"""For all bodies together: several of Pub/Sub's largest events; handling one takes three times its size."""
ENCODINGS = ("gzip", "deflate")
"""Values of the header content-encoding that are decompressed, apart from `x-gzip` and `identity`."""
_STEP_BYTES = 1 << 16
"""Decompressed at a time: a small body can stand for a thousand times as many bytes."""
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class IncompleteBody(RidecastError):
    """The body did not arrive completely and in time: 408."""


class UnsupportedEncoding(InvalidRide):
    """The body is compressed in a way that is not supported."""

    reason = "unsupported_encoding"
    status = 415

    def __init__(self, encoding: str) -> None:
        detail = f"is compressed as {encoding[:40]!a}: use {' or '.join(ENCODINGS)}, or do not compress it"
        super().__init__(Problem("#", detail))


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

    @asynccontextmanager
    async def decompress(self, body: bytearray, encoding: str) -> AsyncIterator[bytearray]:
        """A complete body, decompressed; it counts towards the total, too, until the block ends.

        Args:
            body: as it was received.
            encoding: the request's header content-encoding.

        Raises:
            TooLarge: the decompressed body exceeds `max_bytes`; the rest is not decompressed.
            Overloaded: the bodies in memory would exceed `max_total_bytes`.
            UnsupportedEncoding: `encoding` is not supported.
            UnreadableBody: the compressed data is damaged.
        """
        encoding = encoding.strip().lower()
        if encoding in ("", "identity"):
            yield body
            return
        if encoding.removeprefix("x-") not in ENCODINGS:
            raise UnsupportedEncoding(encoding)
        content = bytearray()
        try:
            for step in _inflate(body):
                self._append(content, step)
                await asyncio.sleep(0)  # lets other requests continue
            yield content
        finally:
            self._total_bytes -= len(content)

    async def _read_into(self, body: bytearray, request: Request, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                async for chunk in request.stream():
                    self._append(body, chunk)
        except ClientDisconnect as error:
            raise IncompleteBody("the client disconnected before the complete body arrived") from error
        except TimeoutError:
            raise IncompleteBody("the complete body did not arrive in time") from None

    def _append(self, body: bytearray, part: bytes) -> None:
        if len(body) + len(part) > self._max_bytes:
            raise TooLarge(self._max_bytes)
        if self._total_bytes + len(part) > self._max_total_bytes:
            raise Overloaded(f"requests of {self._total_bytes} bytes are already being processed")
        self._total_bytes += len(part)
        body += part


def _inflate(compressed: bytearray) -> Iterator[bytes]:
    """Decompresses gzip or zlib data in steps; raises UnreadableBody if it is damaged or incomplete."""
    stream = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        for start in range(0, len(compressed), _STEP_BYTES):
            rest, step = bytes(compressed[start : start + _STEP_BYTES]), b""
            while rest or len(step) == _STEP_BYTES:  # a full step may not be all of it
                if stream.eof and rest:  # a gzip file may consist of several
                    stream = zlib.decompressobj(_GZIP_OR_ZLIB)
                step = stream.decompress(rest, _STEP_BYTES)
                yield step
                rest = stream.unconsumed_tail or stream.unused_data
    except zlib.error as error:
        raise UnreadableBody(f"cannot be decompressed: {error}") from error
    if not stream.eof:
        raise UnreadableBody("ends in the middle of its compressed data")
