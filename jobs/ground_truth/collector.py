"""python -m jobs collect: predictions and ends of rides, joined while they come."""

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.events.subscribers import Arrival
    from jobs.ground_truth.store import Store


class Collector:
    """Takes the events of one kind, and keeps some at a time."""

    def __init__(self, store: "Store", kind: str, alone: threading.Lock) -> None:
        self._store = store
        self._kind = kind
        self._alone = alone
        self._taken: list[Arrival] = []
        self.events = 0
        """Kept so far, duplicates among them."""

    def take(self, arrival: "Arrival") -> None:
        """Takes an event, which may be lost until `keep` has returned."""
        self._taken.append(arrival)

    def keep(self) -> None:
        """Raises StoreFailed where the events that were taken could not be kept."""
        taken, self._taken = self._taken, []
        with self._alone:
            self._store.save(self._kind, taken)
        self.events += len(taken)
