"""The jobs' console output, sent to the log of a flow run."""

import io
from collections.abc import Callable

from prefect.logging import get_run_logger
from rich.console import Console


def run_log_console() -> Console:
    """A console that writes each line to the log of the current run."""
    return Console(file=_LogWriter(get_run_logger().info), soft_wrap=True)


class _LogWriter(io.StringIO):
    """A text file that logs each line."""

    def __init__(self, log: Callable[[str], object]) -> None:
        super().__init__()
        self._log = log

    def write(self, text: str) -> int:
        for line in text.splitlines():
            self._log(line)
        return len(text)
