"""`python -m jobs local up`: keeps the local cloud running and shows how to use it."""

import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from jobs.events.replay import RecordedRide
from jobs.local.bootstrap import CACHE, bring_up
from jobs.local.cloud import LocalCloud
from jobs.local.environment import Addresses
from jobs.local.screen import Screen
from jobs.local.summary import ServedModel, read_champion
from jobs.registry.ui_links import run_page, version_page
from jobs.settings import PROJECT_ROOT
from jobs.trips.download import find_trips
from jobs.ui.hints import job_command, short_path

CHECK_SECONDS = 1.0
"""Interval between checks whether all services still run."""
REPLAYED_RIDES = 500
REPLAY_RATE = 100.0
REPORT = PROJECT_ROOT / ".cache" / "report.html"


def up(screen: Screen, trips: Sequence[str]) -> NoReturn:
    """Starts everything and leaves it running until a signal arrives.

    Args:
        trips: paths or URIs of months, see `find_trips`.

    Raises:
        RidecastError: a service did not start, or has ended.
    """
    with LocalCloud(screen) as cloud:
        data = bring_up(cloud, screen, lambda: find_trips(trips, CACHE), rides=1)
        addresses = cloud.addresses
        settings = write_settings(cloud.folder, addresses.environment())
        champion = read_champion(addresses.mlflow)
        screen.print(description(addresses, settings, champion, data.trips.files[-1], data.rides[0]))
        while True:
            cloud.processes.check()
            time.sleep(CHECK_SECONDS)


def write_settings(folder: Path, variables: Mapping[str, str]) -> Path:
    """Writes environment variables as a file for a shell's `source`; returns its path."""
    path = folder / "env.sh"
    path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()))
    return path


def description(
    addresses: Addresses, settings: Path, champion: ServedModel, trips: str, ride: RecordedRide
) -> str:
    """Returns what to look at, and commands to copy.

    Args:
        settings: the file of `write_settings`.
        trips: a file with rides to replay.
        ride: an example.
    """
    predict = addresses.functions.get("predict", "")
    release = champion.release
    pages = {
        "the model": version_page(addresses.mlflow, release.name, release.version),
        "its training": run_page(addresses.mlflow, champion.experiment_id, release.run_id),
        "the HTTP API": f"{predict}/openapi.json",
    }
    services = {
        "predict": f"{predict}/predict",
        "predict_event": addresses.functions.get("predict_event", ""),
        "MLflow": addresses.mlflow,
        "Cloud Storage": addresses.storage,
        "Pub/Sub": addresses.emulator or "none: events are posted to predict_event, predictions go to a file",
    }
    return "\n".join(
        [
            "\nThe local cloud is up. Press Ctrl-C to stop it.",
            "\nOpen in a browser:",
            *(f"  {name:<14} {page}" for name, page in pages.items()),
            "\nRunning:",
            *(f"  {name:<14} {address}" for name, address in services.items()),
            f"\nIn another shell, in {PROJECT_ROOT}, paste this first:\n",
            f"source {shlex.quote(str(settings))}",
            "\nThen try, in this order:",
            *(f"\n# {purpose}\n{line}" for purpose, line in _commands(addresses, trips, ride).items()),
            "",
        ]
    )


def _commands(addresses: Addresses, trips: str, ride: RecordedRide) -> dict[str, str]:
    """Purpose → command."""
    body = msgspec.json.encode(ride.ride).decode()
    event = shlex.quote(ride.event().decode())
    stream = shlex.quote(str(addresses.folder / "stream.duckdb"))
    month = shlex.quote(short_path(trips))
    page = shlex.quote(short_path(REPORT))
    commands = {
        "predict one ride over HTTP": (
            f"curl -s $PREDICT_URL/predict -H 'Content-Type: application/json' -d {shlex.quote(body)}"
        ),
        "publish a ride event and see its prediction": job_command(
            f"replay --event {event} --watch {shlex.quote(addresses.endpoints.predictions)}"
        ),
        f"replay {REPLAYED_RIDES} recorded rides": job_command(
            f"replay --trips {month} --rides {REPLAYED_RIDES} --rate {REPLAY_RATE:g}"
        ),
        "join the predictions with the actual durations": job_command(
            f"collect --database {stream} --idle 10"
        ),
        f"check the model against these rides; then open {page} in a browser": job_command(
            f"report --stream {stream} --page {page}"
        ),
        "test all services end to end": job_command("smoke"),
    }
    if addresses.emulator:
        commands["list dead letters"] = job_command("redrive")
    return commands
