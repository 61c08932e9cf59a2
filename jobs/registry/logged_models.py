"""Models that MLflow has logged in runs, registered or not."""

from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec
from mlflow.entities import LoggedModel
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from functions.errors import RidecastError
from functions.mlflow_client import is_artifact_uri
from functions.model_uris import ModelUri
from functions.releases import Release
from jobs.registry.model_store import build_manifest
from jobs.registry.release_pointer import artifact_server

NOT_FOUND = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND")
"""Codes of MLflow's errors for something that does not exist."""


class VersionNotFound(RidecastError):
    """The registry lacks the requested version, or its run lacks a required artifact."""


def find_logged(client: MlflowClient, uri: str, parsed: ModelUri) -> Release:
    """The release of a logged model, or of a folder of a run's artifacts, without its files."""
    try:
        if parsed.model_id:
            return _from_logged(client.get_logged_model(parsed.model_id))
        name, _, rest = parsed.path.partition("/")
        for model in logged_models(client, parsed.run_id):
            if model.name == name:
                release = _from_logged(model)
                return msgspec.structs.replace(release, location=f"{release.location}/{rest}".rstrip("/"))
        root = client.get_run(parsed.run_id).info.artifact_uri.rstrip("/")
    except MlflowException as error:
        if error.error_code in NOT_FOUND:
            raise VersionNotFound(f"there is no {uri}: {error.message}") from error
        raise
    name = parsed.path.rpartition("/")[2]
    return Release(name=name, version="", run_id=parsed.run_id, location=f"{root}/{parsed.path}")


def logged_models(client: MlflowClient, run_id: str) -> list[LoggedModel]:
    """A run's logged models of MLflow 3, the newest first."""
    experiment_id = client.get_run(run_id).info.experiment_id
    try:
        return list(client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'"))
    except MlflowException as error:
        if error.get_http_status_code() == HTTPStatus.NOT_FOUND:  # type: ignore[no-untyped-call]  # a server of MLflow 2
            return []
        raise


def _from_logged(model: LoggedModel) -> Release:
    return Release(
        name=model.name,
        version=model.model_id,
        run_id=model.source_run_id or "",
        location=model.artifact_location.rstrip("/"),
    )


def with_files(release: Release) -> Release:
    """The release with its location as a path, if it is local, and with all its files."""
    location = absolute_location(release.location)
    release = msgspec.structs.replace(release, location=location)
    files = build_manifest(location, artifact_server(release))
    return msgspec.structs.replace(release, files=files)


def absolute_location(location: str) -> str:
    """A location without a slash at the end; a local one as an absolute path."""
    location = location.rstrip("/")
    if location.startswith("file:"):
        return unquote(urlsplit(location).path)
    return location if "://" in location or is_artifact_uri(location) else str(Path(location).absolute())
