"""`python -m jobs local run`: trains a model, replays rides through the local cloud and shows the results."""

import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from jobs.local.bootstrap import CACHE, bring_up
from jobs.local.cloud import LocalCloud
from jobs.local.replay_rides import Replay, compare_over_http
from jobs.local.results import RESULTS, Results
from jobs.local.screen import Screen
from jobs.local.summary import RunSummary, read_champion, read_handling_times
from jobs.trips.download import find_trips
from jobs.ui.text import count

COMPARED_RIDES = 50
"""About so many rides are sent to the HTTP function, too."""


def run(  # noqa: PLR0913, PLR0917  # one for each option of the command
    screen: Screen, trips: Sequence[str], rides: int, rate: float, picture: Path | None, output: Path | None
) -> bool:
    """Runs everything, and leaves `Results`.

    Returns whether no event was lost and every HTTP answer equals its prediction event.

    Args:
        trips: paths or URIs of months, see `find_trips`.
        rides: how many to replay.
        rate: events a second.
        picture: SVG file in which to save what was shown.
        output: folder for the results; by default `.cache/run`.

    Raises:
        RidecastError: a step failed; the message names it.
    """
    started = time.monotonic()
    with LocalCloud(screen) as cloud:
        data = bring_up(cloud, screen, lambda: find_trips(trips, CACHE), rides)
        addresses = cloud.addresses
        # Of the ride in the middle: a few have impossible times.
        day = date.fromisoformat(data.rides[len(data.rides) // 2].ride["pickup_datetime"][:10])
        results = Results(data.trips.files, output or RESULTS, day)
        with screen.live(), screen.step("replay") as step:
            destination = addresses.endpoints.ride_events
            step.detail = f"{count(len(data.rides), 'ride event')} at {rate:g} a second to {destination}"
            replayed = Replay(cloud, screen, data.rides, rate).run()
        with screen.step("compare") as step:
            predicted = [ride for ride in data.rides if ride.ride_id in replayed.ledger.predicted]
            sample = predicted[:: len(predicted) // COMPARED_RIDES or 1]
            comparison = compare_over_http(addresses.functions["predict"], sample, replayed.ledger)
            step.detail = f"{comparison.equal} of {comparison.rides} rides get the same duration over HTTP"
        champion = read_champion(addresses.mlflow)
        with screen.live():
            results.save(cloud, screen, champion.release)
        summary = RunSummary(
            replayed,
            comparison,
            read_handling_times(cloud.processes.log("predict_event")),
            champion,
            through_pubsub=bool(addresses.emulator),
        )
    panel = summary.panel(time.monotonic() - started)
    screen.show(replayed.table.table())
    screen.show(panel, panel.plain_text())
    screen.print(results.description())
    if picture:
        screen.save_picture(picture)
    return summary.success
