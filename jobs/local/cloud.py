"""The local cloud: starts its services and commands, and removes everything at the end."""

import atexit
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jobs.concurrency import run_in_background
from jobs.local.emulators import (
    BUCKET,
    INSTALL_PUBSUB,
    PROJECT,
    PubSubEmulator,
    PubSubUnavailable,
    start_mlflow,
    start_prefect,
    start_pubsub,
    start_storage,
)
from jobs.local.environment import Addresses, inherited_environment
from jobs.local.prefect_client import PrefectApi
from jobs.local.processes import ProcessGroup, ServiceFailed
from jobs.local.reaper import CloudRecord, end_leftovers
from jobs.local.screen import Screen
from jobs.local.shutdown import ignore_signals
from jobs.local.topics import Topics
from jobs.settings import PROJECT_ROOT

LOGS = PROJECT_ROOT / ".cache" / "logs"
"""Folder for the log of a service that failed."""
START_SECONDS = 120.0
"""For a function to load its model; it takes one or two."""
REMOVE_ATTEMPTS = 10
"""A thread of this process may still write to the folder while it is being removed."""
DEPLOYMENT = "ride-duration-retraining/green"
"""The retraining flow's deployment on the Prefect server."""

StartServer = Callable[[ProcessGroup, Path, Mapping[str, str]], str]


class LocalCloud:
    """Pub/Sub, Cloud Storage, MLflow and the two functions on this machine.

    A context manager: when it exits, for whatever reason, every process has ended and the temporary folder
    with all their files is removed. If this process is killed, its reaper does that. The log of a service
    that failed is copied to `.cache/logs`.

    Methods raise ServiceFailed if what they start fails or does not respond.
    """

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        if names := end_leftovers():
            screen.print(f"Ended what an earlier run had left when it was killed: {', '.join(names)}")
        self.folder = Path(tempfile.mkdtemp(prefix="ridecast-"))
        """Temporary folder of this cloud."""
        self.addresses = Addresses(self.folder)
        logs = self.folder / "logs"
        logs.mkdir()
        self._record = CloudRecord(self.folder)
        self.processes = ProcessGroup(logs, self._record)
        self._shared_emulator = False
        self._callback_host = "127.0.0.1"
        # In case a signal arrives between the end of the `with` block and `__exit__`.
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with ignore_signals():
            if isinstance(error, ServiceFailed):
                error.log = _keep_log(error.log)
            self.close()

    def close(self) -> None:
        """Ends every process and removes every file; may be called again."""
        self.screen.abandon_steps()
        if self.addresses.topics and self._shared_emulator:
            self.addresses.topics.delete()
        self.addresses.topics = None
        # A function that is handling an event needs the topic to still exist in order to finish.
        self.processes.close(first=["predict", "predict_event"])
        for _ in range(REMOVE_ATTEMPTS):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                break
        self._record.close()
        atexit.unregister(self.close)

    def start_pubsub(self) -> None:
        """Starts the Pub/Sub emulator, if one is available, and creates the topics."""
        with self.screen.step("Pub/Sub emulator") as step:
            emulator = start_pubsub(self.processes, self.folder, inherited_environment(self.folder))
            if isinstance(emulator, PubSubUnavailable):
                step.degraded = True
                step.detail = f"none ({emulator.reason}); to install it: {INSTALL_PUBSUB}"
            else:
                step.detail = f"{emulator.host} ({emulator.source})"
                self._create_topics(emulator)

    def _create_topics(self, emulator: PubSubEmulator) -> None:
        self._shared_emulator = "PUBSUB_EMULATOR_HOST" in os.environ
        project = f"{PROJECT}-{uuid.uuid4().hex[:8]}" if self._shared_emulator else PROJECT
        self._callback_host = emulator.callback_host
        self.addresses.topics = topics = Topics(emulator.host, project)
        topics.create()
        topics.create_smoke_subscription()

    def start_storage(self) -> None:
        """Starts the Cloud Storage emulator."""
        self.addresses.storage = self._start(
            "Storage emulator", start_storage, inherited_environment(self.folder), f" with bucket {BUCKET}"
        )

    def start_mlflow(self) -> None:
        """Starts an MLflow server that keeps its artifacts in the Cloud Storage emulator."""
        self.addresses.mlflow = self._start("MLflow server", start_mlflow, self._environment())

    def start_prefect(self) -> None:
        """Starts a Prefect server."""
        inherited = inherited_environment(self.folder)
        self.addresses.prefect = self._start("Prefect server", start_prefect, inherited)

    def _start(self, name: str, start: StartServer, environment: Mapping[str, str], note: str = "") -> str:
        with self.screen.step(name) as step:
            url = start(self.processes, self.folder, environment)
            step.detail = url + note
        return url

    def serve_flows(self, trips: str) -> PrefectApi:
        """Serves the flows to the Prefect server with `python -m jobs schedule`; `trips` is its pattern."""
        prefect = PrefectApi(self.addresses.prefect)
        with self.screen.step("schedule") as step:
            step.detail = DEPLOYMENT
            options = [f"--trips={trips}", f"--output={self.folder / 'predicted'}"]
            command = [sys.executable, "-m", "jobs", "schedule", *options]
            schedule = self.processes.start("schedule", command, self._environment())
            schedule.wait_until(lambda: prefect.is_served(DEPLOYMENT), START_SECONDS)
        return prefect

    def run(self, name: str, *options: str, show: bool = True, accept: Collection[int] = (0,)) -> None:
        """Runs the command `python -m jobs NAME` in this cloud.

        Args:
            show: whether to show its output.
            accept: exit codes that are no failure.
        """
        command = [sys.executable, "-m", "jobs", name, *options]
        environment = self._environment()
        run_in_background(lambda: self.processes.run(name, command, environment, show, accept)).result()

    def start_functions(self) -> None:
        """Starts `predict` and `predict_event` and waits until they have loaded the model."""
        targets = ("predict", "predict_event")
        raise_first_failure(*(run_in_background(partial(self._start_function, target)) for target in targets))

    def _start_function(self, target: str) -> None:
        with self.screen.step(target) as step:
            framework = str(Path(sys.executable).with_name("functions-framework"))
            # An emulator in a container pushes from another network.
            other_network = target == "predict_event" and self._callback_host != "127.0.0.1"
            host = "0.0.0.0" if other_network else "127.0.0.1"  # noqa: S104
            step.detail = self.processes.start_http_server(
                target,
                lambda port: [framework, f"--target={target}", f"--host={host}", f"--port={port}"],
                self._environment(),
                "/health",
                START_SECONDS,
            )
            self.addresses.functions[target] = step.detail

    def connect(self) -> None:
        """Has Pub/Sub push ride events to `predict_event`; without Pub/Sub, publishers post them there."""
        if self.addresses.topics:
            port = self.addresses.functions["predict_event"].rpartition(":")[2]
            self.addresses.topics.push_to(f"http://{self._callback_host}:{port}/")

    def _environment(self) -> dict[str, str]:
        # HOME: gunicorn and onnxruntime leave files there.
        return inherited_environment(self.folder) | self.addresses.environment() | {"HOME": str(self.folder)}


def raise_first_failure(*futures: "Future[Any]") -> None:
    """Returns when all work is done, or raises the first failure as soon as it happens."""
    for future in wait(futures, return_when=FIRST_EXCEPTION).done:
        future.result()


def _keep_log(log: Path | None) -> Path | None:
    """Copies a log out of the temporary folder; returns the copy."""
    if log is None or not log.is_file():
        return None
    LOGS.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(log, LOGS / log.name))
