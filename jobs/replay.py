"""python -m jobs replay: rides from recorded trips go through the city again, as ride events."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import click
import msgspec

from functions.errors import RidecastError
from jobs.settings import HELD_OUT_SHARE

RIDES = 500
RATE = 50.0
"""Events a second; the emulator, with two in flight, manages several times as many on an idle machine."""
SEED = 2021
WATCH_SECONDS = 30.0
"""How long to wait for the next prediction event."""

Item = TypeVar("Item")


class RecordedRide(NamedTuple):
    """A ride that somebody took, and how long it was."""

    ride_id: int
    """Its row in the month's file."""
    ride: dict[str, Any]
    """With the fields of a course event."""
    actual_minutes: float

    def event(self) -> bytes:
        """The body of its ride event, in the course's form."""
        return msgspec.json.encode({"ride": self.ride, "ride_id": self.ride_id})

    def ended(self) -> bytes:
        """The body of the event that it is over."""
        pickup = datetime.fromisoformat(self.ride["pickup_datetime"])
        dropoff = pickup + timedelta(minutes=self.actual_minutes)
        return msgspec.json.encode(
            {"ride_id": self.ride_id, "ride": self.ride, "dropoff_datetime": dropoff.isoformat()}
        )


def sample_rides(places: Sequence[str], count: int, seed: int = SEED) -> list[RecordedRide]:
    """Rides of the last place that training did not learn from, in the order in which they began.

    Args:
        places: months of trips, as `read_trips` takes them; of a single month only its end is used.
        count: how many; all there are, if there are fewer.

    Raises:
        NoPlace: the place cannot be read.
    """
    # Pandas takes a second to import: `--help` does without.
    from jobs.cleaning import clean_trips, read_trips

    trips = clean_trips(read_trips(places[-1:])).trips.sort_values("pickup_datetime", kind="stable")
    if len(places) == 1:
        trips = trips.tail(int(len(trips) * HELD_OUT_SHARE))
    chosen = trips.sample(min(count, len(trips)), random_state=seed)
    return [_recorded(trip) for trip in chosen.sort_values("pickup_datetime").itertuples()]


def _recorded(trip: Any) -> RecordedRide:
    ride = {
        "PULocationID": int(trip.PULocationID),
        "DOLocationID": int(trip.DOLocationID),
        "trip_distance": float(trip.trip_distance),
        "pickup_datetime": trip.pickup_datetime.isoformat(),
    }
    return RecordedRide(int(trip.Index), ride, float(trip.duration))


def paced(items: Iterable[Item], rate: float) -> Iterator[Item]:
    """The items at `rate` a second by the clock: a slow moment is caught up, not added."""
    start = time.monotonic()
    for number, item in enumerate(items):
        time.sleep(max(start + number / rate - time.monotonic(), 0))
        yield item


@click.command()
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
    try:
        recorded = sample_rides(places, rides, seed) if places else []
        bodies = [event.encode()] if event else [ride.event() for ride in recorded]
        ends = [ride.ended() for ride in recorded] if ended_topic else []
        _send(bodies, rate, topic, watch)
        _send_ends(ends, ended_topic or "")
    except RidecastError as error:
        raise click.ClickException(str(error)) from error


def _send_ends(ends: Sequence[bytes], topic: str) -> None:
    if not ends:
        return
    from jobs.inlets import open_inlet

    inlet = open_inlet(topic)
    for body in ends:
        inlet.send(body)
    inlet.finish()
    click.echo(f"{len(ends)} ends of rides sent to {topic}", err=True)


def _send(bodies: Sequence[bytes], rate: float, topic: str, watch: str | None) -> None:
    # Google's clients take half a second to import: `--help` does without.
    from jobs.inlets import open_inlet
    from jobs.outlets import Arrival, open_outlet

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
