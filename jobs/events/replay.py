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
        return msgspec.json.encode(
            {"ride_id": self.ride_id, "ride": self.ride, "dropoff_datetime": dropoff.isoformat()}
        )


def sample_rides(uris: Sequence[str], count: int, seed: int = SEED) -> list[RecordedRide]:
    """Samples rides that training has not seen, ordered by pickup time.

    Args:
        uris: months of trips, as `read_trips` takes them. Only the last is sampled; if it is the only one,
            only its held-out end is.
        count: how many rides, or all rides if there are fewer.

    Raises:
        FileAccessError: the month cannot be read.
    """
    # Imported here because pandas takes a second to import, which `--help` should not wait for.
    from jobs.trips.cleaning import clean_trips, read_trips

    trips = clean_trips(read_trips(uris[-1:])).trips.sort_values("pickup_datetime", kind="stable")
    if len(uris) == 1:
        trips = trips.tail(int(len(trips) * HELD_OUT_SHARE))
    sample = trips.sample(min(count, len(trips)), random_state=seed)
    return [_recorded(trip) for trip in sample.sort_values("pickup_datetime").itertuples()]


def _recorded(trip: Any) -> RecordedRide:
    ride = {
        "PULocationID": int(trip.PULocationID),
        "DOLocationID": int(trip.DOLocationID),
        "trip_distance": float(trip.trip_distance),
        "pickup_datetime": trip.pickup_datetime.isoformat(),
    }
    return RecordedRide(int(trip.Index), ride, float(trip.duration))


def paced(items: Iterable[Item], rate: float) -> Iterator[Item]:
    """Yields items on a fixed schedule of `rate` per second; after a delay it catches up."""
    start = time.monotonic()
    for number, item in enumerate(items):
        time.sleep(max(start + number / rate - time.monotonic(), 0))
        yield item
