"""python -m jobs replay: rides from recorded trips go through the city again, as ride events."""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec

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
        FileAccessError: the place cannot be read.
    """
    # Pandas takes a second to import: `--help` does without.
    from jobs.trips.cleaning import clean_trips, read_trips

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
