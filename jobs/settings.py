"""Settings of the jobs, from environment variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from functions.errors import SettingsError

PROJECT_ROOT = Path(__file__).resolve().parents[1]
"""The checkout, which contains `main.py` and `.cache/`."""
MODEL_NAME = "ride-duration"
"""Default name of the registered model."""
ALIAS = "champion"
"""The registry's alias for the version in service."""
HELD_OUT_SHARE = 0.2
"""Share of the rides, the last by pick-up time, held out by a training without validation months."""


@dataclass(frozen=True)
class Settings:
    """Where models are tracked and stored."""

    tracking_uri: str
    """MLFLOW_TRACKING_URI: a server's URL or `sqlite:///FILE`."""
    bucket: str
    """MODEL_BUCKET: `gs://BUCKET` or a folder, without a trailing slash."""

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Reads the environment.

        Raises:
            SettingsError: names all missing variables.
        """
        required = {
            "MLFLOW_TRACKING_URI": "the URL of an MLflow server or sqlite:///FILE",
            "MODEL_BUCKET": "gs://BUCKET or a folder, for models and release pointers",
        }
        missing = [f"{name} is not set: {what}" for name, what in required.items() if not environ.get(name)]
        if missing:
            raise SettingsError("; ".join(missing))
        return cls(environ["MLFLOW_TRACKING_URI"], environ["MODEL_BUCKET"].rstrip("/"))

    def pointer(self, name: str, alias: str = ALIAS) -> str:
        """The URI of a model's release pointer."""
        return f"{self.bucket}/releases/{name}/{alias}.json"
