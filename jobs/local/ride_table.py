"""The board of rides: how many have been predicted, and what the last ones were."""

import time
from collections import deque

from rich import box
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from functions.zones import ZONES
from jobs.events.replay import RecordedRide
from jobs.local.ledger import Ledger, Predicted

LAST = 8
"""Rides in the table."""
PLAIN_SECONDS = 1.0
"""Between two lines where there is no terminal."""
CLOSE_MINUTES = 5.0
"""A prediction off by less is shown in green, by more than twice as much in red."""


class Board:
    """Shows a ledger while it fills."""

    def __init__(self, ledger: Ledger, total: int | None) -> None:
        """Of so many rides; None is nobody knows how many."""
        self._ledger = ledger
        self._total = total
        self._of = "" if total is None else f" of {total}"
        self._last: deque[tuple[RecordedRide, Predicted]] = deque(maxlen=LAST)
        self._began = time.monotonic()
        self._next_line = self._began + PLAIN_SECONDS

    def add(self, ride: RecordedRide, predicted: Predicted) -> None:
        """Puts a predicted ride at the top."""
        self._last.appendleft((ride, predicted))

    def line(self) -> str | None:
        """Now and then a line of plain text that says how far we are."""
        if time.monotonic() < self._next_line or not self._last:
            return None
        self._next_line += PLAIN_SECONDS
        ride, predicted = self._last[0]
        start, end = _zones(ride)
        return (
            f"  {len(self._ledger.predicted)}{self._of} rides predicted, the last: "
            f"{start} to {end} {predicted.minutes:.1f} min (was {ride.actual_minutes:.1f})"
        )

    def __rich__(self) -> RenderableType:
        return Group(self._progress(), self.table())

    def _progress(self) -> RenderableType:
        done = len(self._ledger.predicted)
        rate = done / max(time.monotonic() - self._began, 0.1)
        row = Table.grid(padding=(0, 1))
        row.add_row(
            "  rides predicted",
            ProgressBar(total=self._total, completed=done, width=40),
            Text(f"{done}{self._of}, {rate:.0f} a second", "cyan"),
        )
        return row

    def table(self) -> Table:
        """The last rides, the newest first."""
        table = Table(box=box.SIMPLE_HEAD, expand=True, header_style="bold", pad_edge=False)
        table.add_column("from", ratio=1, no_wrap=True)
        table.add_column("to", ratio=1, no_wrap=True)
        table.add_column("picked up", style="dim", no_wrap=True)
        for name in ("miles", "predicted", "actual", "difference"):
            table.add_column(name, justify="right", no_wrap=True)
        for ride, predicted in list(self._last):
            table.add_row(*_cells(ride, predicted))
        return table


def _cells(ride: RecordedRide, predicted: Predicted) -> list[RenderableType]:
    start, end = _zones(ride)
    off = predicted.minutes - ride.actual_minutes
    style = "green" if abs(off) < CLOSE_MINUTES else "red" if abs(off) > 2 * CLOSE_MINUTES else ""
    return [
        Text(start),
        Text(end),
        ride.ride["pickup_datetime"].replace("T", " ")[5:16],
        f"{ride.ride['trip_distance']:.1f}",
        Text(f"{predicted.minutes:.1f} min", "bold"),
        f"{ride.actual_minutes:.1f} min",
        Text(f"{off:+.1f}", style),
    ]


def _zones(ride: RecordedRide) -> tuple[str, str]:
    start, end = ride.ride["PULocationID"], ride.ride["DOLocationID"]
    return ZONES[start].name, ZONES[end].name
