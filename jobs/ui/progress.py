"""How far something is: a bar in a terminal, plain lines elsewhere."""

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

GLANCE_SECONDS = 0.1
LINE_SECONDS = 5.0


@contextmanager
def counting(what: str, total: int, unit: str, console: Console) -> Iterator[Callable[[int], None]]:
    """Shows how many of `total` are done, how fast, and how long the rest will take.

    Gives a function to be told how many are done.
    """
    if console.is_terminal:
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), _Rate(unit), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("", total=total)
            yield lambda done: progress.update(task, completed=done)
        return
    began = said = time.monotonic()

    def say(done: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= LINE_SECONDS:
            said, rate = now, done / (now - began)
            left = (total - done) / rate
            console.print(f"{what}: {done:,} of {total:,} {unit}, {rate:,.0f} {unit}/s, {left:.0f} s to go")

    yield say


class _Rate(ProgressColumn):
    """How many a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} {self._unit}/s")


@contextmanager
def watching(trees: "HistGradientBoostingRegressor", console: Console) -> Iterator[None]:
    """Shows how many trees there are while the body fits them.

    The fit tells nobody how far it is, so a second thread looks at its list of trees.
    """
    done = threading.Event()
    show = _bar if console.is_terminal else _lines
    watcher = threading.Thread(target=show, args=(trees, console, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _bar(trees: "HistGradientBoostingRegressor", console: Console, done: threading.Event) -> None:
    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("trees"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("", total=trees.max_iter)
        while not done.wait(GLANCE_SECONDS):
            progress.update(task, completed=_grown(trees))
        progress.update(task, completed=_grown(trees))


def _lines(trees: "HistGradientBoostingRegressor", console: Console, done: threading.Event) -> None:
    began = time.monotonic()
    while not done.wait(LINE_SECONDS):
        seconds = time.monotonic() - began
        console.print(f"training: {_grown(trees)} of {trees.max_iter} trees after {seconds:.0f} s")


def _grown(trees: "HistGradientBoostingRegressor") -> int:
    return trees.n_iter_ if hasattr(trees, "n_iter_") else 0
