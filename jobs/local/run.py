"""The main job: trips become a model, rides become predictions, shown as it happens."""

import time
from collections.abc import Sequence
from pathlib import Path

from jobs.local.bootstrap import make_ready, wanted_trips
from jobs.local.cloud import LocalCloud
from jobs.local.replay_rides import ask_again, replay
from jobs.local.screen import Screen
from jobs.local.summary import Summary, read_champion, read_handling

ASKED = 50
"""Rides for which the HTTP function is asked, too."""


def run(screen: Screen, wanted: Sequence[str], rides: int, rate: float, picture: Path | None) -> bool:
    """Does the main job; returns whether every event and every answer was as it must be.

    Args:
        wanted: places of trips, see `find_trips`.
        rides: how many are replayed.
        rate: events a second.
        picture: where to save what was shown, as SVG.

    Raises:
        RidecastError: a step failed; the message names it.
    """
    began = time.monotonic()
    with LocalCloud(screen) as cloud:
        found = make_ready(cloud, screen, wanted_trips(wanted, cloud), rides)
        with screen.moving(), screen.step("replay") as step:
            step.detail = f"{len(found.rides)} ride events at {rate:g} a second to {cloud.doors.ride_events}"
            replayed = replay(cloud, screen, found.rides, rate)
        ledger = replayed.ledger
        with screen.step("compare") as step:
            predicted = [ride for ride in found.rides if ride.ride_id in ledger.predicted]
            asked = ask_again(cloud.function("predict"), predicted[:: len(predicted) // ASKED or 1], ledger)
            step.detail = f"{asked.equal} of {asked.rides} rides get the same number over HTTP"
        champion = read_champion(cloud.mlflow)
        handling = read_handling(cloud.log("predict_event"))
        through_pubsub = bool(cloud.emulator)
    seconds = time.monotonic() - began
    summary = Summary(replayed, asked, handling, champion, through_pubsub, seconds)
    screen.show(replayed.board.table())
    outcome = summary.outcome()
    screen.show(outcome, outcome.line())
    if picture:
        screen.save_picture(picture)
    return summary.good
