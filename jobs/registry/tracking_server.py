"""The tracking server and the bucket, or one sentence that says which of them does not answer."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from mlflow.exceptions import MlflowException

from functions.errors import RidecastError
from jobs.identity_token import NoToken, fetch_identity_token
from jobs.settings import Settings

TOKEN = "MLFLOW_TRACKING_TOKEN"  # noqa: S105  # a name
_CREDENTIALS = (TOKEN, "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_AUTH")
ANSWER_SECONDS = 60.0
"""A server that had scaled to zero takes its time."""


class TrackingFailed(RidecastError):
    """The tracking server or the bucket did not do as asked."""


@contextmanager
def reachable(settings: Settings) -> Iterator[None]:
    """For work with both.

    A server on Cloud Run is shown the token of this machine's service account, unless there is another.

    Raises:
        TrackingFailed: one of them refuses, here or in the body.
    """
    _knock(settings.tracking_uri)
    try:
        with _introduced(settings.tracking_uri):
            yield
    except (MlflowException, GoogleAPIError, GoogleAuthError) as error:
        raise TrackingFailed(
            f"MLflow at {settings.tracking_uri} with artifacts in {settings.bucket} failed: {error}"
        ) from error


@contextmanager
def _introduced(tracking_uri: str) -> Iterator[None]:
    host = urlsplit(tracking_uri).hostname or ""
    if not host.endswith(".run.app") or any(name in os.environ for name in _CREDENTIALS):
        yield
        return
    try:
        # Where MLflow's client looks for it at each request.
        os.environ[TOKEN] = fetch_identity_token(tracking_uri.rstrip("/"))
    except NoToken as error:
        raise TrackingFailed(
            f"{error}; on a machine of your own run `gcloud run services proxy SERVICE` and set "
            "MLFLOW_TRACKING_URI to the address that it prints"
        ) from error
    try:
        yield
    finally:
        del os.environ[TOKEN]


def _knock(tracking_uri: str) -> None:
    """Raises TrackingFailed at once where MLflow's own client would try again for minutes."""
    if not tracking_uri.startswith(("http://", "https://")):
        return
    try:
        requests.get(f"{tracking_uri}/health", timeout=ANSWER_SECONDS)
    except requests.RequestException as error:
        raise TrackingFailed(
            f"no MLflow server answers at {tracking_uri}: start one, or set MLFLOW_TRACKING_URI to another"
        ) from error
