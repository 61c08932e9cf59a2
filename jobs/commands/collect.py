"""python -m jobs collect: joins predictions with ride ends as they arrive."""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.commands.error_boundary import JobCommand
from jobs.commands.signals import graceful_shutdown
from jobs.ui.text import count

if TYPE_CHECKING:
    from jobs.events.subscribers import EventSubscriber
    from jobs.ground_truth.collector import Collector

POLL_SECONDS = 0.1
LINE_SECONDS = 5.0
"""Between two lines of progress."""
DELETE_SECONDS = 3600.0
"""Between two deletions of old events."""
KEEP_DAYS = 7.0
"""A report covers the last day by default; a week allows for looking back over a weekend."""


@click.command(cls=JobCommand)
@click.option(
    "--predictions",
    envvar="PREDICTIONS_SUBSCRIPTION",
    show_envvar=True,
    required=True,
    metavar="SUBSCRIPTION",
    help="projects/P/subscriptions/S with prediction events, used by nothing else: another reader would take "
    "some of them. Or a file of prediction events.",
)
@click.option(
    "--ride-ended",
    envvar="RIDE_ENDED_SUBSCRIPTION",
    show_envvar=True,
    required=True,
    metavar="SUBSCRIPTION",
    help="The same, with ride-ended events.",
)
@click.option(
    "--database",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The DuckDB file to save the events in; created if it does not exist.",
)
@click.option(
    "--keep-days",
    default=KEEP_DAYS,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="How many days to keep events.",
)
@click.option(
    "--idle",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Exit after this time without events.  [default: run until a signal]",
)
def command(predictions: str, ride_ended: str, database: Path, keep_days: float, idle: float | None) -> None:
    """Join predictions with ride ends, for a report on the stream.

    An event is acknowledged once it is saved in the file. If the command is killed, nothing is lost, and
    redelivered events count once. Events may arrive in any order. Invalid events are saved separately, each
    with a reason.

    PUBSUB_EMULATOR_HOST selects an emulator instead of Google's Pub/Sub.
    """
    # Google's clients and DuckDB take half a second to import, which `--help` avoids.
    from jobs.events.subscribers import open_subscriber
    from jobs.ground_truth.collector import Collector
    from jobs.ground_truth.store import EventStore
    from jobs.ground_truth.tables import PREDICTIONS, RIDE_ENDED

    store = EventStore(database)
    store.delete_older_than(keep_days)
    lock = threading.Lock()
    collectors = [Collector(store, kind, lock) for kind in (PREDICTIONS, RIDE_ENDED)]
    with graceful_shutdown() as signals, contextlib.ExitStack() as stack:
        subscribers = []
        for source, collector in zip((predictions, ride_ended), collectors, strict=True):
            subscribers.append(open_subscriber(source, collector.add, commit=collector.commit))
            stack.callback(subscribers[-1].close)

        def delete_old() -> None:
            with lock:
                store.delete_older_than(keep_days)

        _watch(subscribers, collectors, delete_old, signals, idle)
    for name, number in store.counts().items():
        click.echo(f"{number:>10,} {name}")


def _watch(
    subscribers: "list[EventSubscriber]",
    collectors: "list[Collector]",
    delete_old: Callable[[], None],
    signals: list[int],
    idle: float | None,
) -> None:
    """Returns after a signal, after `idle` seconds without events, or when events cannot be saved."""
    events, last_error = 0, ""
    last_event = last_line = last_deletion = time.monotonic()
    while not signals and not any(subscriber.failure for subscriber in subscribers):
        time.sleep(POLL_SECONDS)
        now = time.monotonic()
        if (collected := sum(collector.events for collector in collectors)) > events:
            events, last_event = collected, now
        if idle is not None and now > last_event + idle:
            return
        if (error := "; ".join(each.last_error for each in subscribers if each.last_error)) != last_error:
            last_error = error
            click.echo(f"{error}; retrying" if error else "receiving events again", err=True)
        if last_event > last_line and now > last_line + LINE_SECONDS:
            last_line = now
            click.echo(f"{count(events, 'event')} saved", err=True)
        if now > last_deletion + DELETE_SECONDS:
            last_deletion = now
            delete_old()
