"""How signals end the local cloud: the first one raises, and nothing disturbs the clean-up."""

import contextlib
import signal
from collections.abc import Iterator


class Stopped(BaseException):
    """A signal asked us to stop; not an Exception, so that nothing on the way takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Makes the first SIGINT, SIGTERM or SIGHUP raise `Stopped`; those that follow are passed over."""
    asked = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        asked.append(signal.SIGHUP)

    def stop(number: int, _frame: object) -> None:
        for each in asked:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    before = {each: signal.signal(each, stop) for each in asked}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Passes over the signals that ask us to stop: for cleaning up, which is our way of stopping."""
    asked = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = {each: signal.signal(each, signal.SIG_IGN) for each in asked}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
