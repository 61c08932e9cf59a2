"""Rides go in, predictions come out, and nothing may be lost on the way."""

import queue
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import requests

from functions.rides import RideId
from jobs.concurrency import in_background
from jobs.events.publishers import open_inlet
from jobs.events.replay import RecordedRide, paced
from jobs.events.subscribers import Arrival, open_outlet
from jobs.local.cloud import LocalCloud
from jobs.local.ledger import Ledger
from jobs.local.ride_table import Board
from jobs.local.screen import Screen

SILENCE_SECONDS = 30.0
"""With nothing coming out for so long after the last event went in, what is missing is lost."""


class _Sent(NamedTuple):
    ride_id: int
    at: float


class _Dead(NamedTuple):
    letter: Arrival


class Replayed(NamedTuple):
    """What a replay came to."""

    ledger: Ledger
    board: Board
    first_seconds: float
    """From publish to prediction of the first event, which went alone and found everything cold."""


def replay(
    cloud: LocalCloud,
    screen: Screen,
    rides: Sequence[RecordedRide],
    rate: float,
    enough: Callable[[], bool] | None = None,
) -> Replayed:
    """Sends the rides through the cloud at `rate` a second and collects what comes out.

    Args:
        enough: whether no more are to be sent, asked before each; if None, all are.

    Raises:
        PartFailed: a part of the cloud has ended.
        NotDelivered: an event was never confirmed.
    """
    ledger = Ledger()
    board = Board(ledger, None if enough else len(rides))
    by_id: dict[RideId, RecordedRide] = {ride.ride_id: ride for ride in rides}
    news: queue.SimpleQueue[_Sent | Arrival | _Dead] = queue.SimpleQueue()
    doors = cloud.doors
    outlets = [
        open_outlet(doors.predictions, news.put, cloud.emulator),
        open_outlet(doors.dead_letters, lambda letter: news.put(_Dead(letter)), cloud.emulator),
    ]
    inlet = open_inlet(doors.ride_events, cloud.emulator)

    def send(some: Sequence[RecordedRide]) -> None:
        for ride in paced(some, rate):
            if enough and enough():
                return
            news.put(_Sent(ride.ride_id, time.time()))
            inlet.send(ride.event())

    def book(item: _Sent | Arrival | _Dead) -> None:
        match item:
            case _Sent(ride_id, at):
                ledger.send(ride_id, at)
            case _Dead(letter):
                ledger.bury(letter)
            case Arrival():
                new = ledger.predict(item)
                if new is not None:
                    board.add(by_id[new], ledger.predicted[new])

    def collect(some: Sequence[RecordedRide]) -> None:
        sending = in_background(lambda: send(some))
        heard = time.monotonic()
        while not (sending.done() and news.empty() and not ledger.lost):
            if sending.done():
                sending.result()
                if time.monotonic() - heard > SILENCE_SECONDS:
                    return
            try:
                book(news.get(timeout=0.2))
                heard = time.monotonic()
            except queue.Empty:
                cloud.check()
            if not screen.moves and (line := board.line()):
                screen.say(line)

    screen.view = board
    collect(rides[:1])
    first = ledger.percentile(100)
    collect(rides[1:])
    if not ledger.lost:
        inlet.finish()
    screen.view = ""
    for outlet in outlets:
        outlet.close()
    return Replayed(ledger, board, first)


class Asked(NamedTuple):
    """What the HTTP function said to rides that had been events."""

    rides: int
    answered: int
    equal: int
    """Answers with the very number and version of the prediction event."""


def ask_again(url: str, rides: Sequence[RecordedRide], ledger: Ledger) -> Asked:
    """Asks the HTTP function at `url` for predicted rides and compares to the last bit."""
    answered = equal = 0
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Content-Type"] = "application/json"
        for ride in rides:
            answer = session.post(f"{url}/predict", msgspec.json.encode(ride.ride), timeout=30)
            if answer.ok:
                answered += 1
                event = ledger.predicted[ride.ride_id]
                said = msgspec.json.decode(answer.content)
                equal += said == {"duration": event.minutes, "model_version": event.version}
    return Asked(len(rides), answered, equal)
