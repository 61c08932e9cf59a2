"""Where the services of the local cloud are, and the environment variables that tell programs about them."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from jobs.local.emulators import BUCKET, PROJECT
from jobs.local.topics import Topics
from jobs.settings import PROJECT_ROOT

POINTER = f"gs://{BUCKET}/releases/ride-duration/champion.json"
REFRESH_SECONDS = 5
"""How often the functions check for a new release; short, so that a promotion shows at once."""

_FOREIGN_PREFIXES = ("FUNCTION_", "AIP_", "MLFLOW_", "PREFECT_")
_FOREIGN_NAMES = {"ALLOW_PICKLE", "DEBUG", "LOG_LEVEL", "THREADS", "WORKERS"}
"""Variables meant for another cloud, which would change how the local services behave."""


class Endpoints(NamedTuple):
    """Where events are published and received: topic, subscriptions, or URL and files; see jobs.events."""

    ride_events: str
    predictions: str
    dead_letters: str


@dataclass
class Addresses:
    """Addresses of the services that run so far; an empty string if one does not."""

    folder: Path
    """Temporary folder; without Pub/Sub it has the event files."""
    topics: Topics | None = None
    """None without a Pub/Sub emulator."""
    storage: str = ""
    """URL of the Cloud Storage emulator."""
    mlflow: str = ""
    """URL of the MLflow server."""
    prefect: str = ""
    """URL of the Prefect server's API."""
    functions: dict[str, str] = field(default_factory=dict)
    """URLs of the functions by target: `predict`, `predict_event`."""

    @property
    def emulator(self) -> str:
        """`host:port` of the Pub/Sub emulator."""
        return self.topics.emulator if self.topics else ""

    @property
    def endpoints(self) -> Endpoints:
        """Where events are published and received; without Pub/Sub the function's URL and two files."""
        if topics := self.topics:
            return Endpoints(topics.ride_events, topics.predictions_pull, topics.dead_letters_pull)
        predict_event = self.functions.get("predict_event", "")
        return Endpoints(predict_event, self._file("predictions"), self._file("dead-letters"))

    def environment(self) -> dict[str, str]:
        """Returns the variables with which any command uses this cloud."""
        variables = {
            "GOOGLE_CLOUD_PROJECT": self.topics.project if self.topics else PROJECT,
            "STORAGE_EMULATOR_HOST": self.storage,
            "MLFLOW_TRACKING_URI": self.mlflow,
            "MODEL_BUCKET": f"gs://{BUCKET}",
            "MODEL_URI": POINTER,
            "MODEL_REFRESH_SECONDS": str(REFRESH_SECONDS),
            "RIDE_EVENTS_TOPIC": self.endpoints.ride_events,
        }
        if self.prefect:
            variables["PREFECT_API_URL"] = self.prefect
        if topics := self.topics:
            variables |= {
                "PUBSUB_EMULATOR_HOST": topics.emulator,
                "PUBSUB_PROJECT_ID": topics.project,
                "PREDICTIONS_TOPIC": topics.predictions,
                "SMOKE_SUBSCRIPTION": topics.predictions_smoke,
                "DEAD_LETTER_TOPIC": topics.dead_letters,
                "DEAD_LETTER_SUBSCRIPTION": topics.dead_letters_pull,
                "PREDICTIONS_SUBSCRIPTION": topics.predictions_collect,
                "RIDE_ENDED_TOPIC": topics.ride_ended,
                "RIDE_ENDED_SUBSCRIPTION": topics.ride_ended_collect,
            }
        else:
            variables |= {
                "PREDICTIONS_TOPIC": self.endpoints.predictions,
                "SMOKE_SUBSCRIPTION": self.endpoints.predictions,
                "DEAD_LETTER_TOPIC": self.endpoints.dead_letters,
                "PREDICTIONS_SUBSCRIPTION": self.endpoints.predictions,
                "RIDE_ENDED_TOPIC": self._file("ride-ended"),
                "RIDE_ENDED_SUBSCRIPTION": self._file("ride-ended"),
            }
        if predict := self.functions.get("predict"):
            variables["PREDICT_URL"] = predict
        return variables

    def _file(self, name: str) -> str:
        return str(self.folder / f"{name}.jsonl")


def inherited_environment(folder: Path) -> dict[str, str]:
    """Returns this process's environment for child processes: nothing of another cloud, files in `folder`."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN_PREFIXES) and name not in _FOREIGN_NAMES
    }
    local_hosts = "127.0.0.1,localhost"
    return inherited | {
        "TMPDIR": str(folder),
        "DO_NOT_TRACK": "1",
        "MPLCONFIGDIR": str(PROJECT_ROOT / ".cache" / "matplotlib"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **{
            name: ",".join(filter(None, [os.environ.get(name), local_hosts]))
            for name in ("NO_PROXY", "no_proxy")
        },
    }
