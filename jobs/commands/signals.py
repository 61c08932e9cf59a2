"""The end of a command that a person or the platform stops: what is under way is finished first."""

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def stopping() -> Iterator[list[int]]:
    """Within this, a first SIGINT or SIGTERM is only noted, so that what is under way is finished.

    A second one interrupts.
    """
    asked: list[int] = []

    def note(number: int, _frame: object) -> None:
        asked.append(number)
        signal.signal(number, signal.default_int_handler)

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
