"""A month drifts, a new champion takes over, and the rides stream on: shown as it happens."""

import time
from datetime import date
from pathlib import Path
from typing import NamedTuple

from functions.errors import RidecastError
from jobs.concurrency import in_background
from jobs.events.replay import sample_rides
from jobs.local.bootstrap import make_ready
from jobs.local.cloud import DEPLOYMENT, LocalCloud
from jobs.local.prefect_client import ENDED, Flows, Span
from jobs.local.replay_rides import replay
from jobs.local.rollover import Takeover
from jobs.local.screen import Screen
from jobs.trips.download import Trips
from jobs.trips.synthetic import write_month

LEARNED, JUDGED, DRIFTED, STREAMED = (date(2021, month, 1) for month in (1, 2, 3, 4))
PACES = {LEARNED: 1.0, JUDGED: 1.0, DRIFTED: 0.7, STREAMED: 0.7}
"""Of the traffic: from March on there are roadworks everywhere, and what took 10 minutes takes 14."""
BEFORE_SECONDS = 8.0
AFTER_SECONDS = 12.0
"""Of the stream, around the flow: long enough to see how far predictions were off, and are."""
LONGEST_SECONDS = 600
"""For which there are rides to stream; the flow takes half a minute."""
LOOK_SECONDS = 0.5


class NotRetrained(RidecastError):
    """The flow did not end well; the text says how it did."""


class _Flow(NamedTuple):
    """The flow's run, when it has ended."""

    spans: dict[str, Span]
    ended: float
    """Seconds since 1970."""


def retrain(screen: Screen, rate: float, picture: Path | None) -> bool:
    """Shows it; returns whether no event was lost, and versions changed once, for the better.

    Args:
        rate: ride events a second.
        picture: where to save what was shown, as PNG.

    Raises:
        RidecastError: a step failed; the message names it.
    """
    with LocalCloud(screen) as cloud:
        prefect = in_background(cloud.start_prefect)
        make_ready(cloud, screen, lambda: _generate(cloud.folder), rides=1)
        rides = sample_rides(_files(cloud.folder, DRIFTED, STREAMED), int(rate * LONGEST_SECONDS))
        prefect.result()
        flows = cloud.serve_flows(str(cloud.folder / "{taxi_type}_tripdata_{year:04d}-{month:02d}.parquet"))
        with screen.moving(), screen.step("stream") as step:
            step.detail = f"rides at {rate:g} a second, while the flow runs"
            retraining = in_background(lambda: _retrain(flows, screen))
            replayed = replay(
                cloud, screen, rides, rate, lambda: retraining.done() and _over(retraining.result())
            )
        flow = retraining.result()
    takeover = Takeover.of(replayed.ledger, rides, flow.spans)
    outcome = takeover.outcome()
    screen.show(outcome, outcome.line())
    if picture:
        takeover.draw().savefig(picture)
    return takeover.good


def _generate(folder: Path) -> Trips:
    for month, pace in PACES.items():
        write_month(month, Path(*_files(folder, month)), pace=pace)
    return Trips(_files(folder, LEARNED, JUDGED), "generated city, whose traffic is slow from March on")


def _files(folder: Path, *months: date) -> list[str]:
    return [str(folder / f"green_tripdata_{month:%Y-%m}.parquet") for month in months]


def _retrain(flows: Flows, screen: Screen) -> _Flow:
    time.sleep(BEFORE_SECONDS)
    with screen.step("retraining") as step:
        run = flows.start(DEPLOYMENT, run_date=STREAMED.isoformat())
        while True:
            state, says = flows.state(run)
            step.detail = says
            if state in ENDED:
                break
            time.sleep(LOOK_SECONDS)
        if state != "COMPLETED":
            raise NotRetrained(f"the flow {DEPLOYMENT} did not retrain: {says}")
        return _Flow(flows.spans(run), time.time())


def _over(flow: _Flow) -> bool:
    return time.time() > flow.ended + AFTER_SECONDS
