"""`python -m jobs local retrain`: traffic changes, and a retrained model takes over while rides stream on."""

import time
from datetime import date
from pathlib import Path
from typing import NamedTuple

from functions.errors import RidecastError
from jobs.concurrency import run_in_background
from jobs.events.replay import sample_rides
from jobs.local.bootstrap import bring_up
from jobs.local.cloud import DEPLOYMENT, LocalCloud
from jobs.local.prefect_client import FINAL_STATES, PrefectApi, TimeSpan
from jobs.local.replay_rides import Replay
from jobs.local.rollover import Rollover
from jobs.local.screen import Screen
from jobs.settings import MODEL_NAME
from jobs.trips.download import TripFiles
from jobs.trips.synthetic import write_month

TRAINING, VALIDATION, DRIFTED, STREAMED = (date(2021, month, 1) for month in (1, 2, 3, 4))
SPEED_FACTORS = {TRAINING: 1.0, VALIDATION: 1.0, DRIFTED: 0.7, STREAMED: 0.7}
"""Speed of the traffic: from March on there are roadworks everywhere, and a 10-minute ride takes 14."""
BEFORE_SECONDS = 8.0
AFTER_SECONDS = 12.0
"""How long rides stream before and after the flow, to show the errors of the old and the new model."""
MAX_SECONDS = 600
"""For so long there are rides to stream; the flow takes half a minute."""
POLL_SECONDS = 0.5


class RetrainingFailed(RidecastError):
    """The flow run did not complete; the message gives its state."""


class _FlowRun(NamedTuple):
    spans: dict[str, TimeSpan]
    ended: float
    """Seconds since 1970."""


def retrain(screen: Screen, rate: float, picture: Path | None) -> bool:
    """Runs it all; returns whether no event was lost and the version changed once, for the better.

    Args:
        rate: ride events a second.
        picture: PNG file in which to save a plot of the rollover.

    Raises:
        RidecastError: a step failed; the message names it.
    """
    with LocalCloud(screen) as cloud:
        starting_prefect = run_in_background(cloud.start_prefect)
        bring_up(cloud, screen, lambda: _generate(cloud.folder), rides=1)
        rides = sample_rides(_files(cloud.folder, DRIFTED, STREAMED), int(rate * MAX_SECONDS))
        starting_prefect.result()
        prefect = cloud.serve_flows(str(cloud.folder / "{taxi_type}_tripdata_{year:04d}-{month:02d}.parquet"))
        screen.print(
            f"▸ the flow in Prefect: {cloud.addresses.prefect.removesuffix('/api')}/runs, "
            f"the models in MLflow: {cloud.addresses.mlflow}/#/models/{MODEL_NAME}"
        )
        with screen.live(), screen.step("stream") as step:
            step.detail = f"rides at {rate:g} a second while the flow runs"
            retraining = run_in_background(lambda: _retrain(prefect, screen))

            def stop() -> bool:
                return retraining.done() and time.time() > retraining.result().ended + AFTER_SECONDS

            replayed = Replay(cloud, screen, rides, rate, stop).run()
    rollover = Rollover.from_ledger(replayed.ledger, rides, retraining.result().spans)
    panel = rollover.panel()
    screen.show(panel, panel.plain_text())
    if picture:
        rollover.draw().savefig(picture)
    return rollover.success


def _generate(folder: Path) -> TripFiles:
    for month, speed_factor in SPEED_FACTORS.items():
        write_month(month, Path(*_files(folder, month)), speed_factor=speed_factor)
    return TripFiles(_files(folder, TRAINING, VALIDATION), "synthetic trips, with slow traffic from March on")


def _files(folder: Path, *months: date) -> list[str]:
    return [str(folder / f"green_tripdata_{month:%Y-%m}.parquet") for month in months]


def _retrain(prefect: PrefectApi, screen: Screen) -> _FlowRun:
    time.sleep(BEFORE_SECONDS)
    with screen.step("retraining") as step:
        run_id = prefect.start_run(DEPLOYMENT, run_date=STREAMED.isoformat())
        while True:
            state, step.detail = prefect.run_state(run_id)
            if state in FINAL_STATES:
                break
            time.sleep(POLL_SECONDS)
        if state != "COMPLETED":
            raise RetrainingFailed(f"the flow {DEPLOYMENT} did not retrain: {step.detail}")
        return _FlowRun(prefect.task_spans(run_id), time.time())
