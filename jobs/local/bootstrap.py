"""Brings up the local cloud with a trained model: the part that `run`, `up` and `retrain` share."""

import shlex
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jobs.concurrency import run_in_background
from jobs.events.replay import RecordedRide, sample_rides
from jobs.local.cloud import LocalCloud, raise_first_failure
from jobs.local.screen import Screen
from jobs.settings import PROJECT_ROOT
from jobs.trips.download import TripFiles
from jobs.ui.hints import job_command, short_path

CACHE = PROJECT_ROOT / ".cache" / "trips"


class RunData(NamedTuple):
    """The months of trips of a run, and rides sampled from the last one."""

    trips: TripFiles
    rides: list[RecordedRide]


def bring_up(cloud: LocalCloud, screen: Screen, find: Callable[[], TripFiles], rides: int) -> RunData:
    """Starts all services, trains on all months but the last, promotes, and starts the functions.

    Args:
        find: returns the trips.
        rides: how many to sample for a replay.

    Raises:
        FileAccessError: the trips cannot be read.
        ServiceFailed: a service did not start, or a command failed.
    """
    with screen.live():
        loading = run_in_background(lambda: _load(screen, find, rides))
        raise_first_failure(
            loading,
            run_in_background(cloud.start_pubsub),
            run_in_background(lambda: _start_storage_and_mlflow(cloud)),
        )
    data = loading.result()
    *months, last = data.trips.files
    # `train` itself splits a single month.
    options = [*_repeat("--trips", months), "--validate", last] if months else ["--trips", last]
    _run(cloud, screen, "train", *options)
    _run(cloud, screen, "promote")
    with screen.live():
        cloud.start_functions()
    cloud.connect()
    return data


def _load(screen: Screen, find: Callable[[], TripFiles], rides: int) -> RunData:
    with screen.step("trips") as step:
        trips = find()
        step.detail = trips.source
        return RunData(trips, sample_rides(trips.files, rides))


def _start_storage_and_mlflow(cloud: LocalCloud) -> None:
    cloud.start_storage()
    cloud.start_mlflow()


def _run(cloud: LocalCloud, screen: Screen, name: str, *options: str) -> None:
    with screen.step(name) as step:
        step.detail = job_command(" ".join([name, *(shlex.quote(short_path(option)) for option in options)]))
        screen.print(f"▸ {step.detail}")
        cloud.run(name, *options)


def _repeat(option: str, values: Sequence[str]) -> list[str]:
    return [argument for value in values for argument in (option, value)]
