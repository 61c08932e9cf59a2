"""What the jobs say to a person, said in the log of a flow's run."""

import io
from collections.abc import Callable

from prefect.logging import get_run_logger
from rich.console import Console


def logged_console() -> Console:
    """A console whose lines stand in the log of the run that is under way."""
    return Console(file=_Lines(get_run_logger().info), soft_wrap=True)


class _Lines(io.StringIO):
    """A file whose lines are said in a log."""

    def __init__(self, say: Callable[[str], object]) -> None:
        super().__init__()
        self._say = say

    def write(self, text: str) -> int:
        for line in text.splitlines():
            self._say(line)
        return len(text)
