"""Progress: a bar in a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

POLL_SECONDS = 0.1
LINE_SECONDS = 5.0
"""Between two lines where there is no terminal."""

Update = Callable[[int], None]
"""Takes how many are done so far."""


@contextmanager
def show_progress(  # the display is made of these
    console: Console,
    description: str,
    line: Callable[[int, float], str],
    *columns: ProgressColumn,
    total: int | None = None,
    transient: bool = True,
) -> Iterator[Update]:
    """Displays progress until the body ends; yields the function that updates the display.

    Args:
        description: what is under way, until the first update.
        line: the progress in words, from how many are done and the seconds since the start; in a terminal it
            replaces the description.
        columns: of the terminal's bar.
        total: None if it is unknown.
        transient: whether the bar disappears in the end.
    """
    start = time.monotonic()
    if console.is_terminal:
        with Progress(*columns, console=console, transient=transient) as progress:
            task = progress.add_task(description, total=total)
            yield lambda completed: progress.update(
                task, completed=completed, description=line(completed, time.monotonic() - start)
            )
        return
    last_line = start

    def print_line(completed: int) -> None:
        nonlocal last_line
        now = time.monotonic()
        if now - last_line >= LINE_SECONDS:
            last_line = now
            console.print(line(completed, now - start), markup=False)

    yield print_line


@contextmanager
def progress_bar(description: str, total: int, unit: str, console: Console) -> Iterator[Update]:
    """Displays how many of `total` are done, the rate, and the remaining time."""

    def line(completed: int, seconds: float) -> str:
        remaining = (total - completed) * seconds / max(completed, 1)
        return (
            f"{description}: {completed:,} of {total:,} {unit}, {completed / seconds:,.0f} {unit}/s, "
            f"{remaining:.0f} s to go"
        )

    columns = (TextColumn(description), BarColumn(), MofNCompleteColumn(), _Rate(unit), TimeRemainingColumn())
    with show_progress(console, description, line, *columns, total=total) as update:
        yield update


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} {self._unit}/s")


@contextmanager
def training_progress(model: "HistGradientBoostingRegressor", console: Console) -> Iterator[None]:
    """Displays how many trees the model has while the body fits it.

    scikit-learn has no callback, so a second thread polls the number of trees.
    """
    total = model.max_iter
    done = threading.Event()

    def poll() -> None:
        columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("trees"))
        with show_progress(
            console,
            "training",
            lambda trees, seconds: f"training: {trees} of {total} trees after {seconds:.0f} s",
            *(*columns, TimeElapsedColumn()),
            total=total,
            transient=False,
        ) as update:
            while not done.wait(POLL_SECONDS):
                update(_tree_count(model))
            update(_tree_count(model))

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _tree_count(model: "HistGradientBoostingRegressor") -> int:
    return model.n_iter_ if hasattr(model, "n_iter_") else 0
