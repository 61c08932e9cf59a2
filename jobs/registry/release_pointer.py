"""The release pointer, a JSON file that names the release which the functions serve."""

import os
from collections.abc import Mapping

from functions.errors import ModelUnavailable, SettingsError
from functions.releases import Release, encode_release
from functions.resolver import resolve
from jobs.registry.model_store import atomic_write_bytes
from jobs.settings import MODEL_NAME, Settings


def find_release(uri: str, environ: Mapping[str, str] = os.environ) -> Release:
    """Resolves a model URI to a release; without a URI, the champion's.

    Args:
        uri: a release pointer, a model's folder, `models:/NAME@ALIAS`, `models:/NAME/VERSION` or empty.
        environ: MODEL_BUCKET, MLFLOW_TRACKING_URI and MLFLOW_TRACKING_TOKEN are read from it.

    Raises:
        SettingsError: a required variable is not set.
        ModelUnavailable, TrackingFailed, VersionNotFound: there is no such release, or it cannot be read.
    """
    tracking, bucket = environ.get("MLFLOW_TRACKING_URI", ""), environ.get("MODEL_BUCKET", "")
    if not uri:
        return resolve(champion_pointer(environ))
    if uri.startswith("models:") and not tracking:
        raise SettingsError(f"{uri} is in the MLflow registry: set MLFLOW_TRACKING_URI to its address")
    if uri.startswith("models:") and not tracking.startswith(("http://", "https://")):
        # Only a database needs MLflow, which takes seconds to import: a server is queried over HTTP.
        from jobs.registry.model_versions import release_from_registry
        from jobs.registry.tracking_server import connect

        with connect(Settings(tracking, bucket)):
            return release_from_registry(uri, tracking)
    return resolve(uri, tracking, environ.get("MLFLOW_TRACKING_TOKEN", ""))


def champion_pointer(environ: Mapping[str, str] = os.environ) -> str:
    """Path or `gs://` URI of the champion's release pointer.

    Raises:
        SettingsError: MODEL_BUCKET is not set.
    """
    bucket = environ.get("MODEL_BUCKET", "")
    if not bucket:
        raise SettingsError("no model given: give --model, or set MODEL_BUCKET to where the releases are")
    return Settings("", bucket.rstrip("/")).pointer(MODEL_NAME)


def read_pointer(pointer: str) -> Release | None:
    """The release that a pointer names; None if it cannot be read."""
    try:
        return resolve(pointer)
    except ModelUnavailable:
        return None


def write_pointer(pointer: str, release: Release) -> None:
    """Makes a pointer name a release; the functions load it at their next refresh."""
    atomic_write_bytes(pointer, encode_release(release))
