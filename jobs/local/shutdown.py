"""How signals end the local cloud: the first one raises, and clean-up is not interrupted."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

POLL_SECONDS = 0.5


class SignalReceived(BaseException):
    """A termination signal arrived; not an Exception, so that no handler takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextlib.contextmanager
def raise_on_signal() -> Iterator[None]:
    """Makes the first SIGINT, SIGTERM or SIGHUP raise `SignalReceived`; later ones are ignored."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        numbers.append(signal.SIGHUP)

    def handle(number: int, _frame: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise SignalReceived(number)

    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def stop_with_make() -> None:
    """Sends this process a SIGTERM once the `make` that started it was killed: nothing else would end it."""
    if "MAKELEVEL" not in os.environ:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def ignore_signals() -> Iterator[None]:
    """Ignores termination signals: for the clean-up that they ask for."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
