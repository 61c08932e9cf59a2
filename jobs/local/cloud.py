"""The local cloud as one thing: its parts, the environment that describes it, and its end."""

import atexit
import os
import shutil
import sys
import tempfile
import uuid
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from jobs.concurrency import in_background
from jobs.local.emulators import (
    BUCKET,
    INSTALL_PUBSUB,
    PROJECT,
    NoPubSub,
    PubSub,
    start_mlflow,
    start_prefect,
    start_pubsub,
    start_storage,
)
from jobs.local.prefect_client import Flows
from jobs.local.processes import PartFailed, Programs, answers
from jobs.local.screen import Screen
from jobs.local.shutdown import undisturbed
from jobs.local.topics import Topics
from jobs.settings import PROJECT_ROOT

LOGS = PROJECT_ROOT / ".cache" / "logs"
"""Where the log of a part that failed is kept."""
POINTER = f"gs://{BUCKET}/releases/ride-duration/champion.json"
START_SECONDS = 60.0
"""For a function to load its model; it takes one or two."""
REMOVE_TRIES = 10
"""A thread of ours may still write into the folder while it is being removed."""
DEPLOYMENT = "ride-duration-retraining/green"
"""The flow that learns anew, as the Prefect server knows it."""
REFRESH_SECONDS = 5
"""Between two looks of the functions for a newer release: who promotes wants to see it."""

_NOT_OURS = ("FUNCTION_", "AIP_", "MLFLOW_", "PREFECT_")
"""Prefixes of variables that mean another cloud and would change what our programs do …"""
_NOT_OURS_EITHER = {"ALLOW_PICKLE", "DEBUG", "LOG_LEVEL", "THREADS", "WORKERS"}
"""… and whole names."""


class Doors(NamedTuple):
    """Where events go in and come out, as jobs.events takes them."""

    ride_events: str
    predictions: str
    dead_letters: str


class LocalCloud:
    """Pub/Sub, Cloud Storage, MLflow and the two functions on this machine.

    A context manager: whatever happens inside, at its end every process has ended and the folder
    with all that they wrote is gone. The log of a part that failed is moved to `.cache/logs`.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.folder = Path(tempfile.mkdtemp(prefix="ridecast-"))
        """For everything temporary."""
        logs = self.folder / "logs"
        logs.mkdir()
        self._programs = Programs(logs)
        self._topics: Topics | None = None
        self._borrowed = False
        self._reached_at = "127.0.0.1"
        self.storage = ""
        """The Cloud Storage emulator's address."""
        self.mlflow = ""
        """The MLflow server's address."""
        self._prefect = ""
        self._functions: dict[str, int] = {}
        # For a signal that falls between the last line of the work and the first of the closing.
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        with undisturbed():
            if isinstance(error, PartFailed):
                error.log = _kept(error.log)
            self.close()

    def close(self) -> None:
        """Ends every process and removes every file; may be called again."""
        if self._topics and self._borrowed:
            self._topics.delete()
        self._topics = None
        # A function with an event in its hands finishes it if there is still a topic to publish to.
        self._programs.close(first=["predict", "predict_event"])
        for _ in range(REMOVE_TRIES):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                break
        atexit.unregister(self.close)

    def start_pubsub(self) -> None:
        """Starts the Pub/Sub emulator, if there is one, and makes the topics.

        Raises:
            PartFailed: one was named and does not answer.
        """
        with self._screen.step("Pub/Sub emulator") as step:
            found = start_pubsub(self._programs, self.folder, self._inherited())
            if isinstance(found, NoPubSub):
                step.lacking = True
                step.detail = f"none ({found.why}); to have it: {INSTALL_PUBSUB}"
            else:
                step.detail = f"{found.host} ({found.source})"
                self._use_pubsub(found)

    def _use_pubsub(self, found: PubSub) -> None:
        self._borrowed = "PUBSUB_EMULATOR_HOST" in os.environ
        project = f"{PROJECT}-{uuid.uuid4().hex[:8]}" if self._borrowed else PROJECT
        self._topics = Topics(found.host, project)
        self._reached_at = found.reaches_us_at
        self._topics.create()
        self._topics.watch_smoke()

    def start_storage_and_mlflow(self) -> None:
        """Starts Cloud Storage, and MLflow which keeps its artifacts there.

        Raises:
            PartFailed: one of them does not answer.
        """
        with self._screen.step("Storage emulator") as step:
            self.storage = start_storage(self._programs, self.folder, self._inherited())
            step.detail = f"{self.storage} with bucket {BUCKET}"
        with self._screen.step("MLflow server") as step:
            self.mlflow = start_mlflow(self._programs, self.folder, self._whole_environment())
            step.detail = self.mlflow

    def start_prefect(self) -> None:
        """Starts a Prefect server.

        Raises:
            PartFailed: it does not answer.
        """
        with self._screen.step("Prefect server") as step:
            self._prefect = start_prefect(self._programs, self.folder, self._inherited())
            step.detail = self._prefect

    def serve_flows(self, trips: str) -> Flows:
        """Starts `python -m jobs schedule`, which serves our flows to the Prefect server.

        Args:
            trips: a pattern, as `schedule` takes it.

        Raises:
            PartFailed: it ends before they are served.
        """
        flows = Flows(self._prefect)
        with self._screen.step("schedule") as step:
            step.detail = DEPLOYMENT
            options = [f"--trips={trips}", f"--output={self.folder / 'predicted'}"]
            command = [sys.executable, "-m", "jobs", "schedule", *options]
            schedule = self._programs.start("schedule", command, self._whole_environment())
            schedule.wait_until(lambda: flows.served(DEPLOYMENT), START_SECONDS)
        return flows

    def run(self, name: str, *command: str) -> None:
        """Runs `python -m jobs <command>` in this cloud; its output goes to ours.

        Raises:
            PartFailed: it ended with another exit code than 0.
        """
        words = [sys.executable, "-m", "jobs", *command]
        in_background(lambda: self._programs.run(name, words, self._whole_environment())).result()

    def start_function(self, target: str) -> None:
        """Starts the function `predict` or `predict_event` and waits until it has the model.

        Raises:
            PartFailed: it does not answer.
        """
        with self._screen.step(target) as step:
            framework = str(Path(sys.executable).with_name("functions-framework"))
            # An emulator in a container reaches this machine from outside.
            inside = self._reached_at == "127.0.0.1"
            host = "127.0.0.1" if inside else "0.0.0.0"  # noqa: S104
            port = self._programs.start_on_free_port(
                target,
                lambda port: [framework, f"--target={target}", f"--host={host}", f"--port={port}"],
                self._whole_environment(),
                lambda port: answers(f"http://127.0.0.1:{port}/health"),
                START_SECONDS,
            )
            self._functions[target] = port
            step.detail = f"http://127.0.0.1:{port}"

    def connect(self) -> None:
        """Lets the ride events flow to `predict_event`; without Pub/Sub they are posted to it anyway."""
        if self._topics:
            port = self._functions["predict_event"]
            self._topics.push_to(f"http://{self._reached_at}:{port}/")

    def check(self) -> None:
        """Raises PartFailed if a part that should serve has ended."""
        self._programs.check()

    def log(self, part: str) -> Path:
        """What a part has written so far."""
        return self._programs.log(part)

    def function(self, target: str) -> str:
        """The address of a function that was started; empty if it was not."""
        port = self._functions.get(target)
        return f"http://127.0.0.1:{port}" if port else ""

    @property
    def emulator(self) -> str:
        """The Pub/Sub emulator's `host:port`; empty if there is none."""
        return self._topics.emulator if self._topics else ""

    @property
    def doors(self) -> Doors:
        """Where events go in and come out; without Pub/Sub the function itself and two files."""
        if self._topics:
            topics = self._topics
            return Doors(topics.ride_events, topics.predictions_pull, topics.dead_letters_pull)
        return Doors(self.function("predict_event"), self._file("predictions"), self._file("dead-letters"))

    def _file(self, name: str) -> str:
        return str(self.folder / f"{name}.jsonl")

    def environment(self) -> dict[str, str]:
        """The variables that make any command work in this cloud, as far as it is up."""
        variables = {
            "GOOGLE_CLOUD_PROJECT": self._topics.project if self._topics else PROJECT,
            "STORAGE_EMULATOR_HOST": self.storage,
            "MLFLOW_TRACKING_URI": self.mlflow,
            "MODEL_BUCKET": f"gs://{BUCKET}",
            "MODEL_URI": POINTER,
            "MODEL_REFRESH_SECONDS": str(REFRESH_SECONDS),
            "RIDE_EVENTS_TOPIC": self.doors.ride_events,
        }
        if self._prefect:
            variables |= {"PREFECT_API_URL": self._prefect}
        if self._topics:
            variables |= {
                "PUBSUB_EMULATOR_HOST": self._topics.emulator,
                "PUBSUB_PROJECT_ID": self._topics.project,
                "PREDICTIONS_TOPIC": self._topics.predictions,
                "SMOKE_SUBSCRIPTION": self._topics.predictions_smoke,
                "DEAD_LETTER_TOPIC": self._topics.dead_letters,
                "DEAD_LETTER_SUBSCRIPTION": self._topics.dead_letters_pull,
                "PREDICTIONS_SUBSCRIPTION": self._topics.predictions_collect,
                "RIDE_ENDED_TOPIC": self._topics.ride_ended,
                "RIDE_ENDED_SUBSCRIPTION": self._topics.ride_ended_collect,
            }
        else:
            variables |= {
                "PREDICTIONS_TOPIC": self.doors.predictions,
                "SMOKE_SUBSCRIPTION": self.doors.predictions,
                "DEAD_LETTER_TOPIC": self.doors.dead_letters,
                "PREDICTIONS_SUBSCRIPTION": self.doors.predictions,
                "RIDE_ENDED_TOPIC": self._file("ride-ended"),
                "RIDE_ENDED_SUBSCRIPTION": self._file("ride-ended"),
            }
        if predict := self.function("predict"):
            variables["PREDICT_URL"] = predict
        return variables

    def _whole_environment(self) -> dict[str, str]:
        # A home of their own: gunicorn and onnxruntime leave files there.
        return self._inherited() | self.environment() | {"HOME": str(self.folder)}

    def _inherited(self) -> dict[str, str]:
        """What our programs get of our own environment, and what keeps them to themselves."""
        ours = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_NOT_OURS) and name not in _NOT_OURS_EITHER
        }
        local = "127.0.0.1,localhost"
        return ours | {
            "TMPDIR": str(self.folder),
            "DO_NOT_TRACK": "1",
            "MPLCONFIGDIR": str(PROJECT_ROOT / ".cache" / "matplotlib"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), local])),
            "no_proxy": ",".join(filter(None, [os.environ.get("no_proxy"), local])),
        }


def first_failure(*futures: "Future[Any]") -> None:
    """Returns when all work is done; raises the first failure as soon as it is known."""
    for future in wait(futures, return_when=FIRST_EXCEPTION).done:
        future.result()


def _kept(log: Path | None) -> Path | None:
    """Moves a log to where it survives us."""
    if log is None or not log.is_file():
        return None
    LOGS.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(log, LOGS / log.name))
