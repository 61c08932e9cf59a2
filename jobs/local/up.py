"""`python -m jobs local up`: keeps the local cloud running and shows how to use it."""

import shlex
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from jobs.events.replay import RecordedRide
from jobs.local.bootstrap import CACHE, bring_up, short
from jobs.local.cloud import LocalCloud
from jobs.local.environment import Addresses
from jobs.local.screen import Screen
from jobs.trips.download import find_trips

CHECK_SECONDS = 1.0
"""Interval between checks whether all services still run."""


def up(screen: Screen, trips: Sequence[str]) -> NoReturn:
    """Starts everything and leaves it running until a signal arrives.

    Args:
        trips: paths or URIs of months, see `find_trips`.

    Raises:
        RidecastError: a service did not start, or has ended.
    """
    with LocalCloud(screen) as cloud:
        data = bring_up(cloud, screen, lambda: find_trips(trips, CACHE, cloud.folder), rides=1)
        screen.print(description(cloud.addresses, data.trips.files[-1], data.rides[0]))
        while True:
            cloud.processes.check()
            time.sleep(CHECK_SECONDS)


def description(addresses: Addresses, trips: str, ride: RecordedRide) -> str:
    """Returns instructions for using the cloud, with commands to copy.

    Args:
        trips: a file with rides to replay.
        ride: an example.
    """
    python = short(sys.executable)
    predict = addresses.functions.get("predict", "")
    body = msgspec.json.encode(ride.ride).decode()
    event = ride.event().decode()
    stream = shlex.quote(str(addresses.folder / "stream.duckdb"))
    watch = f"--watch {shlex.quote(addresses.endpoints.predictions)}"
    services = {
        "predict": f"{predict}/predict (API description: {predict}/openapi.json)",
        "predict_event": addresses.functions.get("predict_event", ""),
        "MLflow": addresses.mlflow,
        "Cloud Storage": addresses.storage,
        "Pub/Sub": addresses.emulator or "none: events are posted to predict_event, predictions go to a file",
    }
    commands = {
        "predict one ride over HTTP": (
            f"curl -s {predict}/predict -H 'Content-Type: application/json' -d {shlex.quote(body)}"
        ),
        "publish a ride event and see its prediction": (
            f"{python} -m jobs replay --event {shlex.quote(event)} {watch}"
        ),
        "replay recorded rides": (
            f"{python} -m jobs replay --trips {shlex.quote(short(trips))} --rides 20 {watch}"
        ),
        "join the predictions with the actual durations": (
            f"{python} -m jobs collect --database {stream} --idle 5"
        ),
        "check the model against these rides": f"{python} -m jobs report --stream {stream}",
        "test all services end to end": f"{python} -m jobs smoke",
    }
    if addresses.emulator:
        commands["list dead letters"] = f"{python} -m jobs redrive"
    return "\n".join(
        [
            "\nThe local cloud is up. Press Ctrl-C to stop it.\n",
            *(f"  {name:<14} {address}" for name, address in services.items()),
            "\nTo use it from another shell in this folder:\n",
            *(f"export {name}={shlex.quote(value)}" for name, value in addresses.environment().items()),
            "\nThen try:",
            *(f"\n# {purpose}\n{line}" for purpose, line in commands.items()),
            "",
        ]
    )
