"""Graceful shutdown: the first signal lets the current work finish."""

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def graceful_shutdown() -> Iterator[list[int]]:
    """Yields a list to which the first SIGINT or SIGTERM is added, so that the body can finish its work.

    The second signal raises KeyboardInterrupt.
    """
    received: list[int] = []

    def handle(number: int, _frame: object) -> None:
        received.append(number)
        signal.signal(number, signal.default_int_handler)

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
