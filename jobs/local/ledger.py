"""Keeps track of every event of a run: sent, predicted, dead-lettered, delivered again or lost."""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

import msgspec

from functions.rides import RideId
from jobs.events.subscribers import ReceivedMessage


class ReceivedPrediction(NamedTuple):
    """A prediction event as it was received."""

    minutes: float
    version: str
    """Version of the model that predicted."""
    seconds: float
    """From the publish call of the ride event to the publish time of the prediction event."""
    published: float
    """Publish time of the prediction event, in seconds since 1970."""


class DeliveryLedger:
    """Records every event that is sent and every message that is received. Not thread-safe."""

    def __init__(self) -> None:
        self._sent: dict[RideId, float] = {}
        self.predicted: dict[RideId, ReceivedPrediction] = {}
        self.dead: dict[RideId, str] = {}
        """Ride → why it has no prediction."""
        self.duplicates = 0
        """Further messages for the same ride: allowed, as Pub/Sub delivers at least once."""

    def record_sent(self, ride_id: RideId, now: float) -> None:
        """Records an event; `now` is the time just before it is sent, in seconds since 1970."""
        self._sent[ride_id] = now

    def record_prediction(self, message: ReceivedMessage) -> RideId | None:
        """Records a prediction event; returns its ride id if the ride was sent and is new, else None."""
        event = msgspec.json.decode(message.data)
        ride_id = event["prediction"]["ride_id"]
        if not self._is_new(ride_id):
            return None
        self.predicted[ride_id] = ReceivedPrediction(
            event["prediction"]["ride_duration"],
            event["version"],
            message.published - self._sent[ride_id],
            message.published,
        )
        return ride_id  # type: ignore[no-any-return]

    def record_dead_letter(self, message: ReceivedMessage) -> None:
        """Records a dead letter: the event as it was sent, with the reason as an attribute."""
        ride_id = msgspec.json.decode(message.data)["ride_id"]
        if self._is_new(ride_id):
            self.dead[ride_id] = message.attributes.get("dead_letter_detail", "no reason given")

    def _is_new(self, ride_id: RideId) -> bool:
        if ride_id not in self._sent:
            return False  # someone else's event on the same topic
        if ride_id in self.predicted or ride_id in self.dead:
            self.duplicates += 1
            return False
        return True

    @property
    def sent(self) -> int:
        """Number of events sent."""
        return len(self._sent)

    @property
    def lost(self) -> int:
        """Number of events sent for which neither a prediction nor a dead letter was received."""
        return len(self._sent) - len(self.predicted) - len(self.dead)

    @property
    def versions(self) -> list[str]:
        """The model versions that predicted, without duplicates."""
        return sorted({prediction.version for prediction in self.predicted.values()})

    def percentile(self, percent: float) -> float:
        """Latency in seconds that `percent` of the predictions did not exceed; NaN if there are none."""
        return nearest_rank([each.seconds for each in self.predicted.values()], percent)


def nearest_rank(values: Sequence[float], percent: float) -> float:
    """Percentile by the nearest-rank method: always one of the values; NaN if there are none."""
    ranked = sorted(values)
    return ranked[max(ceil(len(ranked) * percent / 100) - 1, 0)] if ranked else float("nan")
