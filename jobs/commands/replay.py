"""python -m jobs replay: publish recorded rides as ride events, at a set rate."""

import threading
import time
from collections.abc import Sequence

import click

from jobs.commands.error_boundary import JobCommand
from jobs.events.replay import RATE, RIDES, SEED, paced, sample_rides

WATCH_SECONDS = 30.0
"""How long to wait for the next prediction event."""


@click.command(cls=JobCommand)
@click.option(
    "--trips",
    "places",
    multiple=True,
    help="A month of trips: a path, gs:// or https://; may be repeated, the last is replayed.",
)
@click.option("--event", help="The body of one event to send, instead of recorded rides.")
@click.option("--rides", default=RIDES, show_default=True, type=click.IntRange(1), help="How many rides.")
@click.option(
    "--rate",
    default=RATE,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Events a second.",
)
@click.option("--seed", default=SEED, show_default=True, help="Which rides are drawn.")
@click.option(
    "--topic",
    envvar="RIDE_EVENTS_TOPIC",
    show_envvar=True,
    required=True,
    help="projects/P/topics/T, or the predict_event function's http:// address.",
)
@click.option(
    "--ended-topic",
    envvar="RIDE_ENDED_TOPIC",
    show_envvar=True,
    help="Publish the ends of recorded rides, too: to projects/P/topics/T, or a file.",
)
@click.option(
    "--watch",
    metavar="SUBSCRIPTION",
    help="Print what comes out of projects/P/subscriptions/S, or of a file, for each event.",
)
def command(  # noqa: PLR0913, PLR0917  # one for each option
    places: tuple[str, ...],
    event: str | None,
    rides: int,
    rate: float,
    seed: int,
    topic: str,
    ended_topic: str | None,
    watch: str | None,
) -> None:
    """Publish ride events, made from recorded trips, at a set rate.

    PUBSUB_EMULATOR_HOST sends them to an emulator instead of Google's Pub/Sub.
    """
    if bool(places) == bool(event):
        raise click.UsageError("give --trips or --event")
    recorded = sample_rides(places, rides, seed) if places else []
    bodies = [event.encode()] if event else [ride.event() for ride in recorded]
    ends = [ride.ended() for ride in recorded] if ended_topic else []
    _send(bodies, rate, topic, watch)
    _send_ends(ends, ended_topic or "")


def _send_ends(ends: Sequence[bytes], topic: str) -> None:
    if not ends:
        return
    from jobs.events.publishers import open_inlet

    inlet = open_inlet(topic)
    for body in ends:
        inlet.send(body)
    inlet.finish()
    click.echo(f"{len(ends)} ends of rides sent to {topic}", err=True)


def _send(bodies: Sequence[bytes], rate: float, topic: str, watch: str | None) -> None:
    # Google's clients take half a second to import: `--help` does without.
    from jobs.events.publishers import open_inlet
    from jobs.events.subscribers import Arrival, open_outlet

    seen = threading.Semaphore(0)

    def show(arrival: Arrival) -> None:
        click.echo(arrival.data)
        seen.release()

    outlet = open_outlet(watch, show) if watch else None
    inlet = open_inlet(topic)
    begin = time.monotonic()
    for body in paced(bodies, rate):
        inlet.send(body)
    inlet.finish()
    seconds = time.monotonic() - begin
    click.echo(f"{len(bodies)} events sent to {topic} in {seconds:.1f} s", err=True)
    if outlet:
        missing = sum(not seen.acquire(timeout=WATCH_SECONDS) for _ in bodies)
        outlet.close()
        if missing:
            raise click.ClickException(f"{missing} events gave no prediction in {watch}")
