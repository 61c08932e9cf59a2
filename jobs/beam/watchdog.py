"""Ends a pipeline on this machine as a whole: with its command, on Ctrl-C, and with any of its workers.

Beam's own local runner waits forever for a worker that was killed, and workers for a runner that was.
Here, the command holds a lock on a file as long as the pipeline may run; workers exit when it is released.
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

POLL_SECONDS = 0.1
EXIT_SECONDS = 5.0
"""Time limit for worker processes to exit."""
_WORKER_THREAD = "run_worker"
"""Beam's name for the threads that wait for worker processes."""
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_WAKE = signal.SIGUSR1


class WorkerLost(RidecastError):
    """A worker process ended before its work was done."""


@contextmanager
def watchdog(grace_seconds: float = 0.0) -> Iterator[str]:
    """Yields the path of the locked file for `is_held` and `exit_when_released`. For the main thread only.

    In the body, SIGINT and SIGTERM release the lock, and raise KeyboardInterrupt once the workers have
    exited; before that, the body has `grace_seconds` to end by itself. The end of a worker does the same,
    and raises WorkerLost.
    """
    with tempfile.TemporaryDirectory() as folder, Path(folder, "lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with _Watchdog(file, grace_seconds).watch():
            yield file.name


class _Watchdog:
    def __init__(self, file: BinaryIO, grace_seconds: float) -> None:
        self._file = file
        self._grace_seconds = grace_seconds
        self._failure: BaseException | None = None
        self._ended = threading.Event()

    @contextmanager
    def watch(self) -> Iterator[None]:
        # Child processes inherit this mask: a terminal sends Ctrl-C to the workers, too.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        hook, threading.excepthook = threading.excepthook, self._on_thread_error
        handler = signal.signal(_WAKE, self._wake)
        waiter = threading.Thread(target=self._wait_for_signal)
        waiter.start()
        try:
            yield
        except BaseException:
            if self._failure is not None:
                raise self._failure from None
            raise
        finally:
            self._ended.set()
            self._release()
            signal.pthread_kill(waiter.ident or 0, signal.SIGTERM)
            waiter.join()
            signal.signal(_WAKE, handler)
            threading.excepthook = hook
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if self._failure is not None:
            raise self._failure

    def _wait_for_signal(self) -> None:
        while not self._ended.is_set():
            signal.sigwait(_STOP_SIGNALS)
            self._end(KeyboardInterrupt())

    def _on_thread_error(self, error: threading.ExceptHookArgs) -> None:
        if error.thread is None or error.thread.name != _WORKER_THREAD:
            threading.__excepthook__(error)
        else:
            lost = WorkerLost(f"a worker was lost ({error.exc_value}): start the command again")
            threading.Thread(target=self._end, args=[lost], daemon=True).start()

    def _end(self, failure: BaseException) -> None:
        """Ends the workers, then interrupts the main thread unless it ends by itself."""
        if self._ended.is_set() or self._failure is not None:
            return
        self._failure = failure
        self._release()
        if self._ended.wait(self._grace_seconds):
            return
        deadline = time.monotonic() + EXIT_SECONDS
        for thread in threading.enumerate():
            if thread.name == _WORKER_THREAD:
                thread.join(max(0.0, deadline - time.monotonic()))
        signal.pthread_kill(threading.main_thread().ident or 0, _WAKE)

    def _wake(self, _number: int, _frame: object) -> None:
        if self._failure is not None and not self._ended.is_set():
            raise self._failure

    def _release(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)


def is_held(path: str) -> bool:
    """Whether the command still holds the lock."""
    try:
        with Path(path).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def exit_when_released(path: str, grace_seconds: float) -> None:
    """Ends this process `grace_seconds` after the lock was released."""

    def wait() -> None:
        while is_held(path):
            time.sleep(POLL_SECONDS)
        time.sleep(grace_seconds)
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
