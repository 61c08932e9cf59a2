"""What the environment says to a job: where models are tracked and where they live."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from functions.errors import SettingsError

PROJECT_ROOT = Path(__file__).resolve().parents[1]
"""The checkout: where `main.py` and `.cache/` are."""
MODEL_NAME = "ride-duration"
"""Under which the registry knows the model, unless a command is told otherwise."""
ALIAS = "champion"
"""The registry's name for the version in service."""
HELD_OUT_SHARE = 0.2
"""Part of the rides, the last by pick-up time, that a training without a month to judge on keeps for it."""


@dataclass(frozen=True)
class Settings:
    """Where models are tracked and where they live."""

    tracking_uri: str
    """MLFLOW_TRACKING_URI: a server's address or `sqlite:///FILE`."""
    bucket: str
    """MODEL_BUCKET: `gs://BUCKET` or a folder, without a slash at its end."""

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Raises SettingsError that names everything that is missing."""
        wanted = {
            "MLFLOW_TRACKING_URI": "an MLflow server's address or sqlite:///FILE",
            "MODEL_BUCKET": "gs://BUCKET or a folder, for models and release pointers",
        }
        missing = [f"{name} is not set: {what}" for name, what in wanted.items() if not environ.get(name)]
        if missing:
            raise SettingsError("; ".join(missing))
        return cls(environ["MLFLOW_TRACKING_URI"], environ["MODEL_BUCKET"].rstrip("/"))

    def pointer(self, name: str, alias: str = ALIAS) -> str:
        """Where the release pointer of a model is."""
        return f"{self.bucket}/releases/{name}/{alias}.json"
