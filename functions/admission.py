"""How many requests one process works on at once. More of them wait a moment for a place, then are refused.

Without it a burst makes everybody wait: each request is slow, all time out, none is answered. Refused at once
they come back at once, and saying no costs nearly as much as an answer: with 1,000 connections that offer
four times what can be published, three to five times as many events come through if they wait.
"""

import asyncio
import time
from types import TracebackType

from functions.errors import Overloaded
from functions.telemetry import fields, logger

MOST_AT_ONCE = 1000
"""As many as Cloud Run gives one instance at the most; about a second's work. With fewer less was answered:
refusing takes as long."""
WAIT_SECONDS = 1.0
"""For a place; who waits adds nothing to the load."""
SILENT_SECONDS = 1.0
"""Between two log lines of refusals: a line for each would add to the load."""


class Admission:
    """`async with admission:` around the work on one request; for one event loop.

    Raises:
        Overloaded: on entering, if `most` others were inside for `seconds`.
    """

    def __init__(self, most: int = MOST_AT_ONCE, seconds: float = WAIT_SECONDS) -> None:
        self._most = most
        self._seconds = seconds
        self._places = asyncio.Semaphore(most)
        self._refused = 0
        self._next_line = 0.0

    async def __aenter__(self) -> None:
        if not self._places.locked():
            await self._places.acquire()  # at once; a timeout would be most of this function's cost
        else:
            try:
                async with asyncio.timeout(self._seconds):
                    await self._places.acquire()
            except TimeoutError:
                self._note_refusal()
                raise Overloaded(f"{self._most} requests are being worked on") from None

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._places.release()

    def _note_refusal(self) -> None:
        self._refused += 1
        if time.monotonic() >= self._next_line:
            logger.warning("overloaded", extra=fields(outcome="refused", refused_so_far=self._refused))
            self._next_line = time.monotonic() + SILENT_SECONDS
