"""How many requests one process works on at once. More of them are told at once to come again.

Without it a burst only makes everybody wait: each request is slow, all time out, none is answered.
"""

import asyncio
import time
from types import TracebackType

from functions.errors import Overloaded
from functions.telemetry import fields, logger

MOST_AT_ONCE = 256
"""At 0.3 ms each, the last one admitted waits less than a tenth of a second."""
SILENT_SECONDS = 1.0
"""Between two log lines of refusals: a line for each would add to the load."""


class Admission:
    """`async with admission:` around the work on one request; for one event loop.

    Raises:
        Overloaded: on entering, while `most` others are inside.
    """

    def __init__(self, most: int = MOST_AT_ONCE) -> None:
        self._most = most
        self._inside = 0
        self._refused = 0
        self._next_line = 0.0

    async def __aenter__(self) -> None:
        if self._inside >= self._most:
            self._note_refusal()
            raise Overloaded(f"{self._most} requests are being worked on")
        self._inside += 1
        try:
            # All that have come meanwhile are counted, before the first is worked on.
            await asyncio.sleep(0)
        except BaseException:
            self._inside -= 1
            raise

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._inside -= 1

    def _note_refusal(self) -> None:
        self._refused += 1
        if time.monotonic() >= self._next_line:
            logger.warning("overloaded", extra=fields(outcome="refused", requests=self._refused))
            self._refused = 0
            self._next_line = time.monotonic() + SILENT_SECONDS
