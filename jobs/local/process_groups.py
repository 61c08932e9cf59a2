"""POSIX process groups: signal them, and end several together."""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from typing import Protocol

GRACE_SECONDS = 6.0
"""Time between SIGTERM and SIGKILL; gunicorn and the JVM need less than two seconds."""
KILL_SECONDS = 2.0


class ProcessTree(Protocol):
    """A process and its children."""

    def signal(self, number: int) -> None:
        """Sends a signal to all of them that are left."""

    def gone(self) -> bool:
        """Whether all of them have ended."""


def end_all(trees: Sequence[ProcessTree]) -> None:
    """Sends SIGTERM, later SIGKILL, and returns when all have ended."""
    remaining = [tree for tree in trees if not tree.gone()]
    for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        for tree in remaining:
            tree.signal(number)
        deadline = time.monotonic() + seconds
        while remaining and time.monotonic() < deadline:
            time.sleep(0.02)
            remaining = [tree for tree in remaining if not tree.gone()]


def signal_group(group: int, number: int) -> None:
    """Sends a signal to the processes of a group, if any are left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def group_exists(group: int) -> bool:
    """Whether the group has a process."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):  # the latter on macOS, when only zombies are left
        return False
    return True
