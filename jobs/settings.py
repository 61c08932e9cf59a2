"""Settings of the jobs, from environment variables."""

import configparser
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from functions.errors import SettingsError
from functions.mlflow_client import ADDRESS, PASSWORD, USERNAME, TrackingServer, redact_user_info
from functions.settings import similar_variable

PROJECT_ROOT = Path(__file__).resolve().parents[1]
"""The checkout, which contains `main.py` and `.cache/`."""
MODEL_NAME = "ride-duration"
"""Default name of the registered model."""
ALIAS = "champion"
"""The registry's alias for the version in service."""
HELD_OUT_SHARE = 0.2
"""Share of the rides, the last by pick-up time, held out by a training without validation months."""
BUCKET = "MODEL_BUCKET"

_REQUIRED = {
    ADDRESS: "the URL of an MLflow server or sqlite:///FILE",
    BUCKET: "gs://BUCKET or a folder, for models and release pointers",
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9.-]*)(?:\+[A-Za-z0-9]+)?:")
_STORES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "file")
_GS_BUCKET = re.compile(r"gs://[a-z0-9][a-z0-9._-]*(?:/\S*)?")


@dataclass(frozen=True)
class Settings:
    """Where models are tracked and stored."""

    tracking_uri: str = field(repr=False)
    """MLFLOW_TRACKING_URI: a server's URL without credentials, `sqlite:///FILE` or another database's."""
    bucket: str
    """MODEL_BUCKET: `gs://BUCKET` or a folder, without a trailing slash."""
    server: TrackingServer = field(default_factory=TrackingServer)
    """The same tracking address with its credentials."""

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Reads the environment.

        Raises:
            SettingsError: names all variables that are missing or invalid.
        """
        problems = [
            f"{name} is not set: {what}{similar_variable(name, environ)}"
            for name, what in _REQUIRED.items()
            if not environ.get(name, "").strip()
        ]
        server, bucket = TrackingServer(), ""
        try:
            server = read_tracking_server(environ)
        except SettingsError as error:
            problems.append(str(error))
        try:
            bucket = read_bucket(environ)
        except SettingsError as error:
            problems.append(str(error))
        if problems:
            raise SettingsError("; ".join(problems))
        return cls(server.address, bucket, server)

    def pointer(self, name: str, alias: str = ALIAS) -> str:
        """The URI of a model's release pointer."""
        return f"{self.bucket}/releases/{name}/{alias}.json"


def read_tracking_server(environ: Mapping[str, str] = os.environ) -> TrackingServer:
    """The tracking server of the environment; as in MLflow, `~/.mlflow/credentials` has what no variable has.

    Raises:
        SettingsError: the address or the credentials cannot be used as they are.
    """
    given = {name: value for name, value in environ.items() if value.strip()}
    server = TrackingServer.read(_credentials_file() | given)
    if problem := _tracking_problem(server.address):
        raise SettingsError(f"{ADDRESS}={redact_user_info(server.address)!r} {problem}")
    return server


def read_bucket(environ: Mapping[str, str] = os.environ) -> str:
    """MODEL_BUCKET without a slash at the end; empty if not set. Raises SettingsError if it is invalid."""
    bucket = environ.get(BUCKET, "").strip().rstrip("/")
    if bucket.startswith("gs:") and not _GS_BUCKET.fullmatch(bucket):
        raise SettingsError(f"{BUCKET}={bucket!r} names no bucket: write {BUCKET}=gs://my-models")
    if _SCHEME.match(bucket) and not bucket.startswith("gs://"):
        raise SettingsError(f"{BUCKET}={bucket!r} must be a folder's path or like {BUCKET}=gs://my-models")
    return bucket


def _credentials_file() -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(Path("~/.mlflow/credentials").expanduser())
        found = parser["mlflow"]
    except (configparser.Error, KeyError, OSError, RuntimeError, UnicodeDecodeError):
        return {}
    return {name: value for name in (USERNAME, PASSWORD) if (value := found.get(name.lower(), ""))}


def _tracking_problem(uri: str) -> str:
    example = "write a server's URL, such as http://localhost:5000, or sqlite:///FILE"
    if match := _SCHEME.match(uri):
        scheme = match[1].lower()
        if scheme == "sqlite" and not re.match(r"sqlite(\+\w+)?:///.", uri):
            return "must have three slashes before a file's name and four before an absolute path: sqlite:///FILE"
        return "" if scheme in _STORES else f"is no address that MLflow knows: {example}"
    if uri and "/" not in uri and not Path(uri).exists():
        return f"is neither an address nor a folder: {example}"
    return ""
