"""Samples recorded trips as ride events, and paces them for replay."""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec

from jobs.settings import HELD_OUT_SHARE

RIDES = 500
RATE = 50.0
"""Events per second; the emulator, with two in flight, handles several times as many on an idle machine."""
SEED = 2021

Item = TypeVar("Item")


class RecordedRide(NamedTuple):
    """A recorded ride and its actual duration."""

    ride_id: int
    """The row number in the month's file."""
    ride: dict[str, Any]
    """The `ride` object of a ride event."""
    actual_minutes: float

    def event(self) -> bytes:
        """The body of the ride event: `{"ride": {…}, "ride_id": …}`."""
        return msgspec.json.encode({"ride": self.ride, "ride_id": self.ride_id})

    def ended_event(self) -> bytes:
        """The body of the event at the ride's end, with its `dropoff_datetime`."""
        pickup = datetime.fromisoformat(self.ride["pickup_datetime"])
        dropoff = pickup + timedelta(minutes=self.actual_minutes)
        event = {"ride_id": self.ride_id, "ride": self.ride, "dropoff_datetime": dropoff.isoformat()}
        return msgspec.json.encode(event)


def sample_rides(uris: Sequence[str], count: int, seed: int = SEED) -> list[RecordedRide]:
    """Samples `count` rides that training has not seen, or all if there are fewer, ordered by pickup time.

    Of the months at `uris`, only the last is sampled; if it is the only one, only its held-out end is.
    Raises FileAccessError if the month cannot be read.
    """
    # `--help` should not wait for pandas, which takes a second to import.
    from jobs.trips.cleaning import clean_trips, read_trips

    trips = clean_trips(read_trips(uris[-1:])).trips.sort_values("pickup_datetime", kind="stable")
    if len(uris) == 1:
        trips = trips.tail(int(len(trips) * HELD_OUT_SHARE))
    sample = trips.sample(min(count, len(trips)), random_state=seed)
    ordered: Iterator[Any] = sample.sort_values("pickup_datetime").itertuples()
    rides = []
    for trip in ordered:
        ride = {
            "PULocationID": int(trip.PULocationID),
            "DOLocationID": int(trip.DOLocationID),
            "trip_distance": float(trip.trip_distance),
            "pickup_datetime": trip.pickup_datetime.isoformat(),
        }
        rides.append(RecordedRide(int(trip.Index), ride, float(trip.duration)))
    return rides


def paced(items: Iterable[Item], rate: float) -> Iterator[Item]:
    """Yields items on a fixed schedule of `rate` per second; after a delay it catches up."""
    start = time.monotonic()
    for number, item in enumerate(items):
        time.sleep(max(start + number / rate - time.monotonic(), 0))
        yield item
