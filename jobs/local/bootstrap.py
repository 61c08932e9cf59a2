"""From nothing to both functions answering: what `run` and `up` have in common."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from jobs.concurrency import in_background
from jobs.events.replay import RecordedRide, sample_rides
from jobs.local.cloud import LocalCloud, first_failure
from jobs.local.screen import Screen
from jobs.settings import PROJECT_ROOT
from jobs.trips.download import Trips, find_trips

CACHE = PROJECT_ROOT / ".cache" / "trips"


class Found(NamedTuple):
    """The trips of a run, and some of their rides."""

    trips: Trips
    rides: list[RecordedRide]


def make_ready(cloud: LocalCloud, screen: Screen, find: Callable[[], Trips], rides: int) -> Found:
    """Starts all parts, trains on all months but the last, promotes, and starts the functions.

    Args:
        find: gives the trips.
        rides: how many to take for a replay.

    Raises:
        FileAccessError: the trips that are wanted are not to be had.
        PartFailed: a part did not start or reported a failure.
    """
    with screen.moving():
        finding = in_background(lambda: _find(screen, find, rides))
        first_failure(
            finding,
            in_background(cloud.start_pubsub),
            in_background(cloud.start_storage_and_mlflow),
        )
    found = finding.result()
    *months, last = found.trips.files
    # A single month is split by train itself.
    words = [*_each("--trips", months), "--validate", last] if months else ["--trips", last]
    _run(cloud, screen, "train", *words)
    _run(cloud, screen, "promote")
    with screen.moving():
        first_failure(
            in_background(lambda: cloud.start_function("predict")),
            in_background(lambda: cloud.start_function("predict_event")),
        )
    cloud.connect()
    return found


def wanted_trips(wanted: Sequence[str], cloud: LocalCloud) -> Callable[[], Trips]:
    """Finds the trips at these places, see `find_trips`."""
    return lambda: find_trips(wanted, CACHE, cloud.folder)


def _find(screen: Screen, find: Callable[[], Trips], rides: int) -> Found:
    with screen.step("trips") as step:
        trips = find()
        step.detail = trips.source
        return Found(trips, sample_rides(trips.files, rides))


def _run(cloud: LocalCloud, screen: Screen, name: str, *options: str) -> None:
    with screen.step(name) as step:
        step.detail = " ".join(["python -m jobs", name, *map(short, options)])
        screen.say(f"▸ {step.detail}")
        cloud.run(name, name, *options)


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def short(word: str) -> str:
    """A path as seen from here, if that is shorter."""
    path = os.path.relpath(word) if Path(word).is_absolute() else word
    return min(word, path, key=len)
