"""Connects to MLflow and the model bucket, and fails fast with a readable error."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import urlsplit

import requests
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from functions.errors import RidecastError
from functions.mlflow_client import (
    ADDRESS,
    PASSWORD,
    TOKEN,
    USERNAME,
    describe_error,
    error_detail,
    redact_user_info,
)
from jobs.identity_token import TokenUnavailable, fetch_identity_token
from jobs.settings import Settings
from jobs.ui.hints import python_command

_CREDENTIALS = (TOKEN, USERNAME, "MLFLOW_TRACKING_AUTH")
TIMEOUT_SECONDS = 60.0
"""Enough for a server on Cloud Run that has scaled to zero."""
_REFUSED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")
_PROBE = "/api/2.0/mlflow/experiments/search"


class TrackingFailed(RidecastError):
    """The tracking server or the model bucket refused, failed or could not be reached."""


@contextmanager
def connect(settings: Settings) -> Iterator[None]:
    """Authenticates to the tracking server, checks it, and translates the errors of the body.

    A server on Cloud Run gets the identity token of this machine's service account, unless other credentials
    are set.

    Raises:
        TrackingFailed: the tracking server or the bucket failed, here or in the body.
    """
    address = redact_user_info(settings.tracking_uri)
    try:
        with _exported(_variables(settings)):
            _health_check(settings.tracking_uri)
            yield
    except ModuleNotFoundError as error:  # a database's driver
        raise TrackingFailed(
            f"{address} needs the package {error.name}: `{python_command()} -m pip install {error.name}`"
        ) from error
    except (MlflowException, GoogleAPIError, GoogleAuthError, requests.RequestException) as error:
        refused = isinstance(error, MlflowException) and error.error_code in _REFUSED
        hint = (
            f". Check {USERNAME} and {PASSWORD}, or {TOKEN}, and this user's permissions" if refused else ""
        )
        raise TrackingFailed(
            f"MLflow at {address} with artifacts in {settings.bucket} failed: "
            f"{settings.server.mask(str(error))}{hint}"
        ) from error


def _variables(settings: Settings) -> dict[str, str]:
    """What MLflow's client reads at each request: the address without credentials, and the credentials."""
    variables = {ADDRESS: settings.tracking_uri, "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    server = settings.server
    if server.username:
        return variables | {USERNAME: server.username, PASSWORD: server.password}
    if server.token:
        return variables | {TOKEN: server.token}
    host = urlsplit(settings.tracking_uri).hostname or ""
    if not host.endswith(".run.app") or any(name in os.environ for name in _CREDENTIALS):
        return variables
    try:
        return variables | {TOKEN: fetch_identity_token(settings.tracking_uri.rstrip("/"))}
    except TokenUnavailable as error:
        raise TrackingFailed(
            f"{error}; on your own machine, run `gcloud run services proxy SERVICE` and set "
            "MLFLOW_TRACKING_URI to the address that it prints"
        ) from error


@contextmanager
def _exported(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _health_check(tracking_uri: str) -> None:
    """Raises TrackingFailed at once, where MLflow's own client would retry for minutes."""
    if not tracking_uri.startswith(("http://", "https://")):
        return
    credentials = get_default_host_creds(tracking_uri)  # type: ignore[no-untyped-call]
    try:
        response = http_request(  # type: ignore[no-untyped-call]
            credentials, _PROBE, "GET", params={"max_results": 1}, max_retries=0, timeout=TIMEOUT_SECONDS
        )
    except MlflowException as error:
        raise TrackingFailed(
            f"no MLflow server answers at {tracking_uri}: start one, or set MLFLOW_TRACKING_URI to another"
        ) from error
    url, status = f"{tracking_uri}{_PROBE}", response.status_code
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        authorized = bool(credentials.username or credentials.token)
        raise TrackingFailed(describe_error(status, url, error_detail(response.content), authorized))
    if status == HTTPStatus.NOT_FOUND or (response.ok and not response.text.lstrip().startswith("{")):
        raise TrackingFailed(
            f"{tracking_uri} is not an MLflow server's address, as it has no {_PROBE}: check its path. "
            "DagsHub's is https://dagshub.com/USER/REPOSITORY.mlflow"
        )
