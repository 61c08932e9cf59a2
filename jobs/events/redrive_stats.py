"""What becomes of dead letters, in numbers: counted, shown while they grow, and told at the end."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

LINE_SECONDS = 5.0
"""Between two lines of progress where there is no terminal."""


@dataclass
class Row:
    """Letters with the same reason, from the same version of the model."""

    letters: int = 0
    sendable: int = 0
    oldest: float = float("inf")
    """Seconds since 1970."""


@dataclass
class Tally:
    """What has become of the letters so far."""

    send: bool
    """False only counts."""
    began: float = field(default_factory=time.monotonic)
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    """By reason and version."""
    going: Counter[str] = field(default_factory=Counter)
    """By topic: sent there and confirmed; in a dry run, would be."""
    left: Counter[str] = field(default_factory=Counter)
    """By why it is not meant to be sent."""
    failed: Counter[str] = field(default_factory=Counter)
    """By why it could not be sent."""

    @property
    def letters(self) -> int:
        """Letters read."""
        return sum(row.letters for row in self.rows.values())

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.began

    def count(self, reason: str, version: str, published: float) -> Row:
        """Counts a letter that was read; gives its row."""
        row = self.rows.setdefault((reason, version), Row())
        row.letters += 1
        row.oldest = min(row.oldest, published)
        return row

    def report(self, console: Console) -> None:
        """Tells what became of all letters; in a dry run with a table of what there is."""
        if not self.letters:
            console.print("There are no dead letters", markup=False, soft_wrap=True)
            return
        if not self.send:
            console.print(_table(self))
        for topic, count in self.going.items():
            sent = f"sent to {topic} in {self.seconds:.1f} s" if self.send else f"can be sent to {topic}"
            console.print(f"{count:,} {sent}", markup=False, soft_wrap=True)
        for why, count in self.left.items():
            console.print(f"{count:,} left: {why}", markup=False, soft_wrap=True)
        for why, count in self.failed.items():
            console.print(
                f"{count:,} {'not sent' if self.send else 'cannot be sent'}: {why}",
                markup=False,
                soft_wrap=True,
            )


@contextlib.contextmanager
def showing(tally: Tally, console: Console) -> Iterator[Callable[[], None]]:
    """Gives what shows the tally while it grows: nobody knows how many letters there are."""
    if console.is_terminal:
        columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("looking for dead letters", total=None)
            yield lambda: progress.update(task, description=_line(tally))
        return
    last_line = time.monotonic()

    def now_and_then() -> None:
        nonlocal last_line
        if time.monotonic() > last_line + LINE_SECONDS:
            last_line = time.monotonic()
            console.print(_line(tally), markup=False)

    yield now_and_then


def _line(tally: Tally) -> str:
    sent = f", {tally.going.total():,} sent" if tally.send else ""
    return f"{tally.letters:,} dead letters read{sent}, {tally.letters / tally.seconds:,.0f} a second"


def _table(tally: Tally) -> Table:
    table = Table(title=f"{tally.letters:,} dead letters", title_justify="left")
    table.add_column("reason")
    table.add_column("model version")
    for name in ("letters", "can be sent", "oldest"):
        table.add_column(name, justify="right")
    for (reason, version), row in sorted(tally.rows.items()):
        counts = (f"{row.letters:,}", f"{row.sendable:,}")
        table.add_row(escape(reason) or "–", escape(version) or "–", *counts, _age(time.time() - row.oldest))
    return table


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
