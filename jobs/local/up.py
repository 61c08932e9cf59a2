"""The local cloud that stays: addresses, variables and commands to try, until Ctrl-C."""

import shlex
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from jobs.events.replay import RecordedRide
from jobs.local.bootstrap import make_ready, short, wanted_trips
from jobs.local.cloud import LocalCloud
from jobs.local.screen import Screen

LOOK_SECONDS = 1.0
"""Between two looks whether all parts still run."""


def up(screen: Screen, wanted: Sequence[str]) -> NoReturn:
    """Starts everything and leaves it running until a signal stops us.

    Args:
        wanted: places of trips, see `find_trips`.

    Raises:
        RidecastError: a part did not start, or has ended.
    """
    with LocalCloud(screen) as cloud:
        found = make_ready(cloud, screen, wanted_trips(wanted, cloud), rides=1)
        screen.say(description(cloud, found.trips.files[-1], found.rides[0]))
        while True:
            cloud.check()
            time.sleep(LOOK_SECONDS)


def description(cloud: LocalCloud, trips: str, ride: RecordedRide) -> str:
    """What a person needs to use the cloud, to be copied line by line.

    Args:
        trips: a file with rides to replay.
        ride: an example.
    """
    python = short(sys.executable)
    predict = cloud.function("predict")
    body = msgspec.json.encode(ride.ride).decode()
    event = ride.event().decode()
    stream = shlex.quote(str(cloud.folder / "stream.duckdb"))
    watch = f"--watch {shlex.quote(cloud.doors.predictions)}"
    parts = {
        "predict": f"{predict}/predict (described at {predict}/openapi.json)",
        "predict_event": cloud.function("predict_event"),
        "MLflow": cloud.mlflow,
        "Cloud Storage": cloud.storage,
        "Pub/Sub": cloud.emulator or "none: events are posted to predict_event, predictions go to a file",
    }
    commands = {
        "ask for one ride over HTTP": (
            f"curl -s {predict}/predict -H 'Content-Type: application/json' -d {shlex.quote(body)}"
        ),
        "publish an event and see its prediction": (
            f"{python} -m jobs replay --event {shlex.quote(event)} {watch}"
        ),
        "replay recorded rides": (
            f"{python} -m jobs replay --trips {shlex.quote(short(trips))} --rides 20 {watch}"
        ),
        "join predictions with the ends of these rides": (
            f"{python} -m jobs collect --database {stream} --idle 5"
        ),
        "see whether the model still fits them": f"{python} -m jobs report --stream {stream}",
        "try all parts at once": f"{python} -m jobs smoke",
    }
    if cloud.emulator:
        commands["see what dead letters there are"] = f"{python} -m jobs redrive"
    return "\n".join(
        [
            "\nThe local cloud is up; Ctrl-C ends it.\n",
            *(f"  {name:<14} {where}" for name, where in parts.items()),
            "\nFor any other shell in this folder:\n",
            *(f"export {name}={shlex.quote(value)}" for name, value in cloud.environment().items()),
            "\nThen try:",
            *(f"\n# {what}\n{line}" for what, line in commands.items()),
            "",
        ]
    )
