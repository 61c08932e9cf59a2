"""python -m jobs collect: predictions and ends of rides, joined while they come."""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.commands.error_boundary import JobCommand
from jobs.commands.signals import stopping

if TYPE_CHECKING:
    from jobs.events.subscribers import Outlet
    from jobs.ground_truth.collector import Collector

LOOK_SECONDS = 0.1
LINE_SECONDS = 5.0
"""Between two lines about what has come."""
FORGET_SECONDS = 3600.0
"""Between two looks for what is too old."""
KEEP_DAYS = 7.0
"""The last day is what a report is about; a week lets a person look back over a weekend."""


@click.command(cls=JobCommand)
@click.option(
    "--predictions",
    envvar="PREDICTIONS_SUBSCRIPTION",
    show_envvar=True,
    required=True,
    metavar="PLACE",
    help="projects/P/subscriptions/S with prediction events, of our own: who else reads it takes some away. "
    "Or a file of them.",
)
@click.option(
    "--ride-ended",
    "ended",
    envvar="RIDE_ENDED_SUBSCRIPTION",
    show_envvar=True,
    required=True,
    metavar="PLACE",
    help="The same with ride-ended events.",
)
@click.option(
    "--database",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The DuckDB file to keep them in; it is made if it is not there.",
)
@click.option(
    "--keep-days",
    default=KEEP_DAYS,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Older events are dropped.",
)
@click.option(
    "--idle",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="End when nothing has come for so long; if not given, only a signal ends it.",
)
def command(predictions: str, ended: str, database: Path, keep_days: float, idle: float | None) -> None:
    """Join predictions with the ends of their rides, for a report on the stream.

    An event is acknowledged when it is safe in the file. Killed at any moment, nothing is lost: what comes
    again counts once. Events may come in any order. What cannot be read is kept aside with its reason.

    PUBSUB_EMULATOR_HOST names an emulator instead of Google's Pub/Sub.
    """
    # Google's clients and DuckDB take half a second to import: `--help` does without.
    from jobs.events.subscribers import open_outlet
    from jobs.ground_truth.collector import Collector
    from jobs.ground_truth.store import Store
    from jobs.ground_truth.tables import ENDED, PREDICTIONS

    store = Store(database)
    store.forget(keep_days)
    alone = threading.Lock()
    collectors = [Collector(store, kind, alone) for kind in (PREDICTIONS, ENDED)]
    with stopping() as stopped, contextlib.ExitStack() as open_ones:
        outlets = []
        for place, collector in zip((predictions, ended), collectors, strict=True):
            outlets.append(open_outlet(place, collector.take, keep=collector.keep))
            open_ones.callback(outlets[-1].close)

        def forget() -> None:
            with alone:
                store.forget(keep_days)

        _watch(outlets, collectors, forget, stopped, idle)
    for what, count in store.counts().items():
        click.echo(f"{count:>10,} {what}")


def _watch(
    outlets: "list[Outlet]",
    collectors: list[Collector],
    forget: Callable[[], None],
    stopped: list[int],
    idle: float | None,
) -> None:
    """Returns when we are to stop, nothing comes any more, or something cannot be kept."""
    events, trouble = 0, ""
    heard = said = forgot = time.monotonic()
    while not stopped and not any(outlet.failure for outlet in outlets):
        time.sleep(LOOK_SECONDS)
        now = time.monotonic()
        if (so_far := sum(collector.events for collector in collectors)) > events:
            events, heard = so_far, now
        if idle is not None and now > heard + idle:
            return
        if (what := "; ".join(outlet.trouble for outlet in outlets if outlet.trouble)) != trouble:
            trouble = what
            click.echo(f"{what}; trying again" if what else "events come again", err=True)
        if heard > said and now > said + LINE_SECONDS:
            said = now
            click.echo(f"{events:,} events kept", err=True)
        if now > forgot + FORGET_SECONDS:
            forgot = now
            forget()
