"""Replays rides through the local cloud, and compares the predictions with the HTTP function's."""

import queue
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec
import requests

from functions.rides import RideId
from jobs.concurrency import run_in_background
from jobs.events.publishers import open_publisher
from jobs.events.replay import RecordedRide, paced
from jobs.events.subscribers import EventSubscriber, ReceivedMessage, open_subscriber
from jobs.local.cloud import LocalCloud
from jobs.local.ledger import DeliveryLedger
from jobs.local.ride_table import RideTable
from jobs.local.screen import Screen

SILENCE_SECONDS = 30.0
"""If nothing is received for so long after the last event was sent, whatever is missing counts as lost."""


class ReplayResult(NamedTuple):
    """What was sent and received in a replay."""

    ledger: DeliveryLedger
    table: RideTable
    first_seconds: float
    """Latency of the first event, which was sent alone, before anything had warmed up."""


class Replay:
    """Sends rides through the cloud and collects predictions and dead letters.

    Other threads send and receive; they queue updates, which only the caller's thread applies.

    Args:
        rate: events a second.
        stop: called before each ride; once it returns True, no more rides are sent.
    """

    def __init__(
        self,
        cloud: LocalCloud,
        screen: Screen,
        rides: Sequence[RecordedRide],
        rate: float,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self._cloud, self._screen, self._rate, self._stop = cloud, screen, rate, stop
        self._rides = rides
        self._rides_by_id: dict[RideId, RecordedRide] = {ride.ride_id: ride for ride in rides}
        self._ledger = DeliveryLedger()
        self._table = RideTable(self._ledger, None if stop else len(rides))
        self._updates: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._emulator = cloud.addresses.emulator
        endpoints = cloud.addresses.endpoints
        self._subscribers = [
            self._subscribe(endpoints.predictions, self._record_prediction),
            self._subscribe(endpoints.dead_letters, self._ledger.record_dead_letter),
        ]
        self._publisher = open_publisher(endpoints.ride_events, self._emulator)

    def run(self) -> ReplayResult:
        """Runs the replay: first one ride alone, then the others.

        Raises:
            ServiceFailed: a service of the cloud has ended.
            NotDelivered: an event was never acknowledged.
        """
        self._screen.view = self._table
        self._send_and_collect(self._rides[:1])
        first_seconds = self._ledger.percentile(100)
        self._send_and_collect(self._rides[1:])
        if not self._ledger.lost:
            self._publisher.finish()
        self._screen.view = ""
        for subscriber in self._subscribers:
            subscriber.close()
        return ReplayResult(self._ledger, self._table, first_seconds)

    def _send_and_collect(self, rides: Sequence[RecordedRide]) -> None:
        sending = run_in_background(lambda: self._send(rides))
        last_update = time.monotonic()
        while not (sending.done() and self._updates.empty() and not self._ledger.lost):
            if sending.done():
                sending.result()
                if time.monotonic() - last_update > SILENCE_SECONDS:
                    return
            try:
                self._updates.get(timeout=0.2)()
                last_update = time.monotonic()
            except queue.Empty:
                self._cloud.processes.check()
            if not self._screen.interactive and (line := self._table.progress_line()):
                self._screen.print(line)

    def _subscribe(self, source: str, record: Callable[[ReceivedMessage], None]) -> EventSubscriber:
        return open_subscriber(
            source, lambda message: self._updates.put(partial(record, message)), self._emulator
        )

    def _send(self, rides: Sequence[RecordedRide]) -> None:
        for ride in paced(rides, self._rate):
            if self._stop and self._stop():
                return
            self._updates.put(partial(self._ledger.record_sent, ride.ride_id, time.time()))
            self._publisher.send(ride.event())

    def _record_prediction(self, message: ReceivedMessage) -> None:
        ride_id = self._ledger.record_prediction(message)
        if ride_id is not None:
            self._table.add(self._rides_by_id[ride_id], self._ledger.predicted[ride_id])


class HttpComparison(NamedTuple):
    """How many rides the HTTP function predicts exactly as the prediction events did."""

    rides: int
    answered: int
    equal: int
    """Answers with the same duration, bit for bit, and the same model version."""


def compare_over_http(url: str, rides: Sequence[RecordedRide], ledger: DeliveryLedger) -> HttpComparison:
    """Sends rides that have a prediction event to the HTTP function at `url` and compares the answers."""
    answered = equal = 0
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Content-Type"] = "application/json"
        for ride in rides:
            answer = session.post(f"{url}/predict", msgspec.json.encode(ride.ride), timeout=30)
            if answer.ok:
                answered += 1
                event = ledger.predicted[ride.ride_id]
                expected = {"duration": event.minutes, "model_version": event.version}
                equal += msgspec.json.decode(answer.content) == expected
    return HttpComparison(len(rides), answered, equal)
