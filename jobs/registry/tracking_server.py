"""Connects to MLflow and the model bucket, and fails fast with a readable error."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from mlflow.exceptions import MlflowException

from functions.errors import RidecastError
from jobs.identity_token import TokenUnavailable, fetch_identity_token
from jobs.settings import Settings

TOKEN = "MLFLOW_TRACKING_TOKEN"  # noqa: S105  # a name
_CREDENTIALS = (TOKEN, "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_AUTH")
TIMEOUT_SECONDS = 60.0
"""Enough for a server on Cloud Run that has scaled to zero."""


class TrackingFailed(RidecastError):
    """The tracking server or the model bucket refused, failed or could not be reached."""


@contextmanager
def connect(settings: Settings) -> Iterator[None]:
    """Checks the tracking server, authenticates to it, and translates the errors of the body.

    A server on Cloud Run gets the identity token of this machine's service account, unless other credentials
    are set.

    Raises:
        TrackingFailed: the tracking server or the bucket failed, here or in the body.
    """
    _health_check(settings.tracking_uri)
    try:
        with _authenticated(settings.tracking_uri):
            yield
    except (MlflowException, GoogleAPIError, GoogleAuthError) as error:
        raise TrackingFailed(
            f"MLflow at {settings.tracking_uri} with artifacts in {settings.bucket} failed: {error}"
        ) from error


@contextmanager
def _authenticated(tracking_uri: str) -> Iterator[None]:
    host = urlsplit(tracking_uri).hostname or ""
    if not host.endswith(".run.app") or any(name in os.environ for name in _CREDENTIALS):
        yield
        return
    try:
        # MLflow's client reads it at each request.
        os.environ[TOKEN] = fetch_identity_token(tracking_uri.rstrip("/"))
    except TokenUnavailable as error:
        raise TrackingFailed(
            f"{error}; on your own machine, run `gcloud run services proxy SERVICE` and set "
            "MLFLOW_TRACKING_URI to the address that it prints"
        ) from error
    try:
        yield
    finally:
        del os.environ[TOKEN]


def _health_check(tracking_uri: str) -> None:
    """Raises TrackingFailed at once, where MLflow's own client would retry for minutes."""
    if not tracking_uri.startswith(("http://", "https://")):
        return
    try:
        requests.get(f"{tracking_uri}/health", timeout=TIMEOUT_SECONDS)
    except requests.RequestException as error:
        raise TrackingFailed(
            f"no MLflow server answers at {tracking_uri}: start one, or set MLFLOW_TRACKING_URI to another"
        ) from error
