"""Limits how many requests one process works on at once. Further requests wait briefly, then are rejected.

Without a limit a burst slows down every request until all of them time out. Rejecting at once is no better:
clients retry immediately, and a rejection costs nearly as much as an answer. With 1,000 connections offering
four times what can be published, three to five times as many events get through if they wait.
"""

import asyncio
import time

from functions.errors import Overloaded
from functions.telemetry import fields, logger

MAX_CONCURRENT_REQUESTS = 1000
"""Cloud Run's maximum per instance; lower limits answered fewer requests, because rejections cost time."""
MAX_WAIT_SECONDS = 1.0
"""How long a request waits for a slot. Waiting adds no load."""
LOG_INTERVAL_SECONDS = 1.0
"""Minimum time between two log lines about rejections; one line per rejection would add to the load."""


class AdmissionControl:
    """`async with admission:` around the work on one request; for one event loop.

    Entering raises Overloaded if all `max_concurrent` slots stayed taken for `max_wait` seconds.
    """

    def __init__(
        self, max_concurrent: int = MAX_CONCURRENT_REQUESTS, max_wait: float = MAX_WAIT_SECONDS
    ) -> None:
        self._max_concurrent = max_concurrent
        self._max_wait = max_wait
        self._slots = asyncio.Semaphore(max_concurrent)
        self._rejected = 0
        self._next_log = 0.0

    async def __aenter__(self) -> None:
        if not self._slots.locked():
            await self._slots.acquire()  # returns at once; a timeout would be most of this method's cost
        else:
            try:
                async with asyncio.timeout(self._max_wait):
                    await self._slots.acquire()
            except TimeoutError:
                self._log_rejection()
                raise Overloaded(f"{self._max_concurrent} requests are already being processed") from None

    async def __aexit__(self, *_: object) -> None:
        self._slots.release()

    def _log_rejection(self) -> None:
        self._rejected += 1
        if time.monotonic() >= self._next_log:
            logger.warning("overloaded", extra=fields(outcome="refused", refused_so_far=self._rejected))
            self._next_log = time.monotonic() + LOG_INTERVAL_SECONDS
