"""The release pointer that the functions follow: where it is, what it says, and how it is moved."""

import os
from collections.abc import Mapping

from functions.errors import ModelUnavailable, SettingsError
from functions.releases import Release, encode_release
from functions.resolver import resolve
from jobs.registry.model_store import write_whole
from jobs.settings import MODEL_NAME, Settings


def find_release(uri: str, environ: Mapping[str, str] = os.environ) -> Release:
    """The release that a URI names; the champion's if it is empty.

    Raises:
        SettingsError: the environment does not say where.
        ModelUnavailable, TrackingFailed, NoSuchVersion: there is none, or its store does not answer.
    """
    tracking, bucket = environ.get("MLFLOW_TRACKING_URI", ""), environ.get("MODEL_BUCKET", "")
    if not uri:
        return resolve(champion(environ))
    if uri.startswith("models:") and not tracking:
        raise SettingsError(f"{uri} is asked of MLflow, and MLFLOW_TRACKING_URI is not set")
    if uri.startswith("models:") and not tracking.startswith(("http://", "https://")):
        # MLflow takes seconds to import; it knows databases, where the functions ask a server.
        from jobs.registry.model_versions import release_of
        from jobs.registry.tracking_server import reachable

        with reachable(Settings(tracking, bucket)):
            return release_of(uri, tracking)
    return resolve(uri, tracking, environ.get("MLFLOW_TRACKING_TOKEN", ""))


def champion(environ: Mapping[str, str] = os.environ) -> str:
    """The address of the champion's release pointer.

    Raises:
        SettingsError: the environment does not say where.
    """
    bucket = environ.get("MODEL_BUCKET", "")
    if not bucket:
        raise SettingsError("which model? Give --model, or set MODEL_BUCKET to where releases are")
    return Settings("", bucket.rstrip("/")).pointer(MODEL_NAME)


def pointed_at(pointer: str) -> Release | None:
    """What a release pointer says now; None where there is none."""
    try:
        return resolve(pointer)
    except ModelUnavailable:
        return None


def point_at(pointer: str, release: Release) -> None:
    """Points the functions at a release; they take it up at their next look."""
    write_whole(pointer, encode_release(release))
