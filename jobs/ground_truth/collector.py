"""Collects the events of one subscription and commits them to the store in batches."""

import threading

from jobs.events.subscribers import ReceivedMessage
from jobs.ground_truth.store import EventStore


class Collector:
    """Holds events of one kind until they are committed."""

    def __init__(self, store: EventStore, kind: str, lock: threading.Lock) -> None:
        self._store = store
        self._kind = kind
        self._lock = lock
        self._pending: list[ReceivedMessage] = []
        self.events = 0
        """Committed so far, including duplicates."""

    def add(self, message: ReceivedMessage) -> None:
        """Adds an event, which may be lost until `commit` has returned."""
        self._pending.append(message)

    def commit(self) -> None:
        """Saves the pending events; raises StoreFailed if they could not be saved."""
        pending, self._pending = self._pending, []
        with self._lock:
            self._store.save(self._kind, pending)
        self.events += len(pending)
