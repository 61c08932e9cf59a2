"""What became of every event: the books that decide whether a run was good."""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

import msgspec

from functions.rides import RideId
from jobs.events.subscribers import Arrival


class Predicted(NamedTuple):
    """A prediction event as it came out."""

    minutes: float
    version: str
    """Version of the model that made it."""
    seconds: float
    """From our publish call to the prediction's own publish time."""
    at: float
    """That time, in seconds since 1970."""


class Ledger:
    """Books every event that goes in and every message that comes out; for one thread."""

    def __init__(self) -> None:
        self._sent: dict[RideId, float] = {}
        self.predicted: dict[RideId, Predicted] = {}
        self.dead: dict[RideId, str] = {}
        """Ride → the reason why there is no prediction."""
        self.duplicates = 0
        """Messages for a ride that had one before: allowed, Pub/Sub delivers at least once."""

    def send(self, ride_id: RideId, now: float) -> None:
        """Books an event; `now` is in seconds since 1970, taken just before it is sent."""
        self._sent[ride_id] = now

    def predict(self, arrival: Arrival) -> RideId | None:
        """Books a prediction event; returns its ride if that is one of ours and new."""
        event = msgspec.json.decode(arrival.data)
        ride_id = event["prediction"]["ride_id"]
        if not self._is_new(ride_id):
            return None
        self.predicted[ride_id] = Predicted(
            event["prediction"]["ride_duration"],
            event["version"],
            arrival.published - self._sent[ride_id],
            arrival.published,
        )
        return ride_id  # type: ignore[no-any-return]

    def bury(self, arrival: Arrival) -> None:
        """Books a dead letter: the event as it was sent, and the reason as an attribute."""
        ride_id = msgspec.json.decode(arrival.data)["ride_id"]
        if self._is_new(ride_id):
            self.dead[ride_id] = arrival.attributes.get("dead_letter_detail", "no reason given")

    def _is_new(self, ride_id: RideId) -> bool:
        if ride_id not in self._sent:
            return False  # another one's event on the same topic
        if ride_id in self.predicted or ride_id in self.dead:
            self.duplicates += 1
            return False
        return True

    @property
    def sent(self) -> int:
        """Events that went in."""
        return len(self._sent)

    @property
    def lost(self) -> int:
        """Events that went in, and neither a prediction nor a dead letter came out."""
        return len(self._sent) - len(self.predicted) - len(self.dead)

    @property
    def versions(self) -> list[str]:
        """The model versions that predicted, each once."""
        return sorted({prediction.version for prediction in self.predicted.values()})

    def percentile(self, percent: float) -> float:
        """Seconds within which `percent` of the predictions came; NaN if none did."""
        return nearest_rank([each.seconds for each in self.predicted.values()], percent)


def nearest_rank(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that at least `percent` of them do not exceed."""
    ranked = sorted(values)
    return ranked[max(ceil(len(ranked) * percent / 100) - 1, 0)] if ranked else float("nan")
