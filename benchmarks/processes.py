"""Runs measured programs that exit by themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jobs.local.processes import ProcessGroup


def run_to_end(
    processes: ProcessGroup, name: str, argv: Sequence[str], environment: Mapping[str, str]
) -> Path:
    """Runs a program until it exits, and returns its log.

    Raises:
        ServiceFailed: it exited with an error.
    """
    process = processes.start(name, argv, environment)
    try:
        process.finish()
    finally:
        processes.stop(process)
    return process.log
