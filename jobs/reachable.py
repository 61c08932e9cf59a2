"""The tracking server and the bucket, or one sentence that says which of them does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from mlflow.exceptions import MlflowException

from functions.errors import RidecastError
from jobs.settings import Settings

ANSWER_SECONDS = 60.0
"""A server that had scaled to zero takes its time."""


class TrackingFailed(RidecastError):
    """The tracking server or the bucket did not do as asked."""


@contextmanager
def reachable(settings: Settings) -> Iterator[None]:
    """For work with both.

    Raises:
        TrackingFailed: one of them refuses, here or in the body.
    """
    _knock(settings.tracking_uri)
    try:
        yield
    except (MlflowException, GoogleAPIError, GoogleAuthError) as error:
        raise TrackingFailed(
            f"MLflow at {settings.tracking_uri} with artifacts in {settings.bucket} failed: {error}"
        ) from error


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
