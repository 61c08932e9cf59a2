"""python -m jobs replay: publishes recorded rides as ride events, at a fixed rate."""

import threading
import time
from collections import Counter
from collections.abc import Sequence

import click

from jobs.commands.error_boundary import JobCommand
from jobs.events.replay import RATE, RIDES, SEED, paced, sample_rides
from jobs.ui.text import count

WATCH_SECONDS = 30.0
"""How long to wait for each prediction event."""
DETAILS = 10
"""Reasons of dead letters that are printed, the most frequent first."""


@click.command(cls=JobCommand)
@click.option(
    "--trips",
    multiple=True,
    metavar="URI",
    help="A month of trips: a path, gs:// or https://; may be repeated, the last one is replayed.",
)
@click.option("--event", metavar="JSON", help="The body of one event to publish, instead of rides.")
@click.option("--rides", default=RIDES, show_default=True, type=click.IntRange(1), help="How many rides.")
@click.option(
    "--rate",
    default=RATE,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Events per second.",
)
@click.option("--seed", default=SEED, show_default=True, help="Seed for sampling the rides.")
@click.option(
    "--topic",
    envvar="RIDE_EVENTS_TOPIC",
    show_envvar=True,
    metavar="TOPIC",
    help="projects/P/topics/T, or the http:// URL of the predict_event function.  [required]",
)
@click.option(
    "--ended-topic",
    envvar="RIDE_ENDED_TOPIC",
    show_envvar=True,
    metavar="TOPIC",
    help="Also publish ride-ended events, to projects/P/topics/T or a file.",
)
@click.option(
    "--watch",
    metavar="SUBSCRIPTION",
    help="Print the prediction event of each ride, from projects/P/subscriptions/S or a file.",
)
def command(  # noqa: PLR0913, PLR0917  # one for each option
    trips: tuple[str, ...],
    event: str | None,
    rides: int,
    rate: float,
    seed: int,
    topic: str | None,
    ended_topic: str | None,
    watch: str | None,
) -> None:
    """Publish ride events, made from recorded trips, at a fixed rate.

    PUBSUB_EMULATOR_HOST selects an emulator instead of Google's Pub/Sub.
    """
    if bool(trips) == bool(event):
        raise click.UsageError("give --trips or --event")
    if not topic:
        raise click.UsageError(
            "give --topic: projects/PROJECT/topics/TOPIC, or the address of predict_event, such as "
            "http://127.0.0.1:8081. `make up` prints a line to paste that sets it (RIDE_EVENTS_TOPIC)"
        )
    recorded = sample_rides(trips, rides, seed) if trips else []
    bodies = [event.encode()] if event else [ride.event() for ride in recorded]
    ends = [ride.ended_event() for ride in recorded] if ended_topic else []
    _send(bodies, rate, topic, watch)
    _send_ends(ends, ended_topic or "")


def _send_ends(ends: Sequence[bytes], topic: str) -> None:
    if not ends:
        return
    from jobs.events.publishers import open_publisher

    publisher = open_publisher(topic)
    for body in ends:
        publisher.send(body)
    publisher.finish()
    click.echo(f"{count(len(ends), 'ride-ended event')} sent to {topic}", err=True)


def _send(bodies: Sequence[bytes], rate: float, topic: str, watch: str | None) -> None:
    # Google's clients take half a second to import, which `--help` avoids.
    from jobs.events.publishers import open_publisher
    from jobs.events.subscribers import ReceivedMessage, open_subscriber

    seen = threading.Semaphore(0)

    def show(message: ReceivedMessage) -> None:
        click.echo(message.data)
        seen.release()

    subscriber = open_subscriber(watch, show) if watch else None
    publisher = open_publisher(topic)
    start = time.monotonic()
    for body in paced(bodies, rate):
        publisher.send(body)
    publisher.finish()
    seconds = time.monotonic() - start
    click.echo(f"{count(len(bodies), 'event')} sent to {topic} in {seconds:.1f} s", err=True)
    for detail, number in Counter(publisher.dead_letters).most_common(DETAILS):
        click.echo(f"{count(number, 'dead letter')}: {detail}", err=True)
    if subscriber:
        missing = sum(not seen.acquire(timeout=WATCH_SECONDS) for _ in bodies)
        subscriber.close()
        if missing:
            verb = "has" if missing == 1 else "have"
            raise click.ClickException(
                f"of {count(len(bodies), 'event')} {missing:,} {verb} no prediction in {watch} within "
                f"{WATCH_SECONDS:g} s: look at the dead letters and at predict_event's log"
            )
