"""A pipeline of this machine ends as a whole: with its command, by Ctrl-C, and with any of its workers.

Beam's own local runner waits for ever for a worker that was killed, and workers for a runner that was.
"""

import fcntl
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from functions.errors import RidecastError

LOOK_SECONDS = 0.1
END_SECONDS = 5.0
"""For a worker's process to end."""
_WORKER = "run_worker"
"""How Beam calls the thread that waits for a worker's process."""
_ENDS = (signal.SIGINT, signal.SIGTERM)
_WAKE = signal.SIGUSR1


class WorkerLost(RidecastError):
    """A worker's process ended before its work was done."""


@contextmanager
def leash(grace_seconds: float = 0.0) -> Iterator[str]:
    """Gives the path of a file that workers look at, see `held` and `end_without`. For the main thread.

    SIGINT and SIGTERM let go of it in the body, and come as KeyboardInterrupt when the workers have ended.
    So does the end of a worker, as WorkerLost.

    Args:
        grace_seconds: for the body to end by itself when the leash was let go.
    """
    with tempfile.TemporaryDirectory() as folder, Path(folder, "leash").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with _Holder(file, grace_seconds).watching():
            yield file.name


class _Holder:
    def __init__(self, file: BinaryIO, grace_seconds: float) -> None:
        self._file = file
        self._grace_seconds = grace_seconds
        self._failure: BaseException | None = None
        self._over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        # Blocked here, and so in all that is started here: a terminal sends Ctrl-C to the workers, too.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        hook, threading.excepthook = threading.excepthook, self._see
        before = signal.signal(_WAKE, self._wake)
        waiting = threading.Thread(target=self._wait_for_signal)
        waiting.start()
        try:
            yield
        except BaseException:
            if self._failure is not None:
                raise self._failure from None
            raise
        finally:
            self._over.set()
            self._let_go()
            signal.pthread_kill(waiting.ident or 0, signal.SIGTERM)
            waiting.join()
            signal.signal(_WAKE, before)
            threading.excepthook = hook
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if self._failure is not None:
            raise self._failure

    def _wait_for_signal(self) -> None:
        while not self._over.is_set():
            signal.sigwait(_ENDS)
            self._end(KeyboardInterrupt())

    def _see(self, what: threading.ExceptHookArgs) -> None:
        """What ended a thread."""
        if what.thread is None or what.thread.name != _WORKER:
            threading.__excepthook__(what)
        else:
            lost = WorkerLost(f"a worker was lost ({what.exc_value}): start the command again")
            threading.Thread(target=self._end, args=[lost], daemon=True).start()

    def _end(self, failure: BaseException) -> None:
        """Ends the workers, and then what the main thread does, unless it ends by itself."""
        if self._over.is_set() or self._failure is not None:
            return
        self._failure = failure
        self._let_go()
        if self._over.wait(self._grace_seconds):
            return
        deadline = time.monotonic() + END_SECONDS
        for thread in threading.enumerate():
            if thread.name == _WORKER:
                thread.join(max(0.0, deadline - time.monotonic()))
        signal.pthread_kill(threading.main_thread().ident or 0, _WAKE)

    def _wake(self, _number: int, _frame: object) -> None:
        if self._failure is not None and not self._over.is_set():
            raise self._failure

    def _let_go(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)


def held(path: str) -> bool:
    """Whether the command that made the leash still holds it."""
    try:
        with Path(path).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def end_without(path: str, grace_seconds: float) -> None:
    """Ends this process when the leash was let go and the grace is over."""
    threading.Thread(target=_follow, args=[path, grace_seconds], daemon=True).start()


def _follow(path: str, grace_seconds: float) -> None:
    while held(path):
        time.sleep(LOOK_SECONDS)
    time.sleep(grace_seconds)
    os._exit(0)
