"""The live view of a replay: how many rides have been predicted, and a table of the latest ones."""

import time
from collections import deque

from rich import box
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from functions.zones import ZONES
from jobs.events.replay import RecordedRide
from jobs.local.ledger import DeliveryLedger, ReceivedPrediction

MAX_ROWS = 8
LINE_SECONDS = 1.0
"""Interval between progress lines if the output is not a terminal."""
CLOSE_MINUTES = 5.0
"""Smaller errors are shown in green, and errors of more than twice as much in red."""


class RideTable:
    """Shows a ledger as it fills.

    Args:
        total: number of rides to be predicted; None if unknown.
    """

    def __init__(self, ledger: DeliveryLedger, total: int | None) -> None:
        self._ledger = ledger
        self._total = total
        self._of_total = "" if total is None else f" of {total}"
        self._latest: deque[tuple[RecordedRide, ReceivedPrediction]] = deque(maxlen=MAX_ROWS)
        self._started = time.monotonic()
        self._next_line = self._started + LINE_SECONDS

    def add(self, ride: RecordedRide, prediction: ReceivedPrediction) -> None:
        """Adds a predicted ride at the top."""
        self._latest.appendleft((ride, prediction))

    def progress_line(self) -> str | None:
        """Returns a line of plain text about the progress, or None if it is too soon for another."""
        if time.monotonic() < self._next_line or not self._latest:
            return None
        self._next_line += LINE_SECONDS
        ride, prediction = self._latest[0]
        pickup, dropoff = _zone_names(ride)
        return (
            f"  {len(self._ledger.predicted)}{self._of_total} rides predicted, the latest: "
            f"{pickup} to {dropoff} {prediction.minutes:.1f} min (actual {ride.actual_minutes:.1f})"
        )

    def __rich__(self) -> RenderableType:
        return Group(self._progress(), self.table())

    def _progress(self) -> RenderableType:
        predicted = len(self._ledger.predicted)
        rate = predicted / max(time.monotonic() - self._started, 0.1)
        row = Table.grid(padding=(0, 1))
        row.add_row(
            "  rides predicted",
            ProgressBar(total=self._total, completed=predicted, width=40),
            Text(f"{predicted}{self._of_total}, {rate:.0f} a second", "cyan"),
        )
        return row

    def table(self) -> Table:
        """Returns the latest rides, newest first."""
        table = Table(box=box.SIMPLE_HEAD, expand=True, header_style="bold", pad_edge=False)
        table.add_column("from", ratio=1, no_wrap=True)
        table.add_column("to", ratio=1, no_wrap=True)
        table.add_column("picked up", style="dim", no_wrap=True)
        for name in ("miles", "predicted", "actual", "difference"):
            table.add_column(name, justify="right", no_wrap=True)
        for ride, prediction in list(self._latest):
            table.add_row(*_cells(ride, prediction))
        return table


def _cells(ride: RecordedRide, prediction: ReceivedPrediction) -> list[RenderableType]:
    pickup, dropoff = _zone_names(ride)
    error = prediction.minutes - ride.actual_minutes
    style = "green" if abs(error) < CLOSE_MINUTES else "red" if abs(error) > 2 * CLOSE_MINUTES else ""
    return [
        Text(pickup),
        Text(dropoff),
        ride.ride["pickup_datetime"].replace("T", " ")[5:16],
        f"{ride.ride['trip_distance']:.1f}",
        Text(f"{prediction.minutes:.1f} min", "bold"),
        f"{ride.actual_minutes:.1f} min",
        Text(f"{error:+.1f}", style),
    ]


def _zone_names(ride: RecordedRide) -> tuple[str, str]:
    return ZONES[ride.ride["PULocationID"]].name, ZONES[ride.ride["DOLocationID"]].name
