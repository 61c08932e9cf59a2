"""Statistics of a redrive: counted, displayed while they grow, and reported at the end."""

import time
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from jobs.ui.progress import Update, show_progress
from jobs.ui.text import count


@dataclass
class ReasonStats:
    """Dead letters with one reason and one model version."""

    letters: int = 0
    eligible: int = 0
    oldest: float = float("inf")
    """Unix time in seconds."""


@dataclass
class RedriveStats:
    """Dead letters so far, by what was done with them."""

    send: bool
    """False for a dry run."""
    began: float = field(default_factory=time.monotonic)
    rows: dict[tuple[str, str], ReasonStats] = field(default_factory=dict)
    """By reason and model version."""
    sent: Counter[str] = field(default_factory=Counter)
    """Confirmed events by topic; in a dry run, events that can be sent."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Letters that are not eligible, by why not."""
    failed: Counter[str] = field(default_factory=Counter)
    """Letters that cannot or could not be sent, by why not."""

    @property
    def letters(self) -> int:
        """How many letters were read."""
        return sum(row.letters for row in self.rows.values())

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    def count(self, reason: str, version: str, published: float) -> ReasonStats:
        """Counts a letter, published at a Unix time; returns the counts of its reason and version."""
        row = self.rows.setdefault((reason, version), ReasonStats())
        row.letters += 1
        row.oldest = min(row.oldest, published)
        return row

    def report(self, console: Console) -> None:
        """Prints what was done with all letters; a dry run also prints a table of them."""
        if not self.letters:
            console.print("There are no dead letters", markup=False, soft_wrap=True)
            return
        if not self.send:
            console.print(_table(self))
        sent, duration = ("sent to", f" in {self.seconds:.1f} s") if self.send else ("can be sent to", "")
        lines = [f"{number:,} {sent} {topic}{duration}" for topic, number in self.sent.items()]
        lines += [f"{number:,} left: {why}" for why, number in self.skipped.items()]
        not_sent = "not sent" if self.send else "cannot be sent"
        lines += [f"{number:,} {not_sent}: {why}" for why, number in self.failed.items()]
        for line in lines:
            console.print(line, markup=False, soft_wrap=True)


def redrive_progress(stats: RedriveStats, console: Console) -> AbstractContextManager[Update]:
    """Displays the stats while they grow; how many letters there are is unknown."""
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    return show_progress(console, "looking for dead letters", lambda *_: _line(stats), *columns)


def _line(stats: RedriveStats) -> str:
    sent = f", {stats.sent.total():,} sent" if stats.send else ""
    read = count(stats.letters, "dead letter")
    return f"{read} read{sent}, {stats.letters / stats.seconds:,.0f} a second"


def _table(stats: RedriveStats) -> Table:
    title = count(stats.letters, "dead letter")
    table = Table("reason", "model version", title=title, title_justify="left")
    for name in ("letters", "can be sent", "oldest"):
        table.add_column(name, justify="right")
    for (reason, version), row in sorted(stats.rows.items()):
        counts = (f"{row.letters:,}", f"{row.eligible:,}")
        table.add_row(escape(reason) or "–", escape(version) or "–", *counts, _age(time.time() - row.oldest))
    return table


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
