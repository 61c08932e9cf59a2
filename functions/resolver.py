"""Resolves MODEL_URI to a release: a model's name, its version and the location of its files.

Four forms are supported:

    gs://BUCKET/releases/ride-duration/champion.json   a release pointer, written by `promote`
    gs://…/artifacts, or a folder                      an MLflow model folder (MLflow 2 or 3)
    models:/NAME@ALIAS, models:/NAME/7, models:/NAME/latest, models:/m-0123…, runs:/RUN/NAME
                                                       looked up with the MLflow server's REST API
    mlflow-artifacts:/…/artifacts                      a model folder that an MLflow server serves
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from functions import mlflow_client
from functions.artifacts import read_file
from functions.errors import ModelDamaged, ModelNotAllowed, ModelNotFound, ModelUnavailable
from functions.mlflow_client import ServerError, TrackingServer
from functions.model_uris import ModelUri, is_model_uri, parse_model_uri
from functions.releases import Release, decode_release

MAX_POINTER_BYTES = 1 << 20
"""A pointer lists a handful of files."""


def resolve(
    uri: str, server: TrackingServer | None = None, allowed_prefixes: tuple[str, ...] = ()
) -> Release:
    """The release to which `uri` currently refers.

    Args:
        server: the MLflow server that is asked for `models:/…` and `runs:/…`.
        allowed_prefixes: `gs://BUCKET/…`, for `uri` and for the release's location; empty allows any.

    Raises:
        ModelUnavailable: the release does not exist, cannot be read or is not in an allowed location.
    """
    if is_model_uri(uri):
        release = _query_server(uri, parse_model_uri(uri), server or TrackingServer())
    elif uri.endswith(".json"):
        _require_allowed(uri, allowed_prefixes)
        release = _read_pointer(uri, server)
    else:
        name = uri.rstrip("/").rpartition("/")[2]
        release = Release(name=name, version="", location=uri.rstrip("/"))
    _require_allowed(release.location, allowed_prefixes)
    return release


def _require_allowed(location: str, allowed_prefixes: tuple[str, ...]) -> None:
    if not allowed_prefixes or f"{location}/".startswith(allowed_prefixes):
        return
    message = f"{location!r} is not in {' or '.join(allowed_prefixes)}, the allowed locations of models: "
    if location.startswith("gs://"):
        raise ModelNotAllowed(f"{message}if it should be, add its bucket to MODEL_BUCKETS")
    raise ModelNotAllowed(f"{message}copy the model to one of them, or unset MODEL_BUCKETS to allow any")


def _read_pointer(uri: str, server: TrackingServer | None) -> Release:
    folder, slash, name = uri.rpartition("/")
    content = read_file(folder or slash or ".", name, MAX_POINTER_BYTES, server)
    try:
        release = decode_release(content)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ModelDamaged(f"{uri} is not a release pointer: {error}") from error
    if not release.files:
        raise ModelDamaged(
            f"{uri} lists no files, so the model cannot be verified: "
            "write the pointer with `python -m jobs promote` or `sync`"
        )
    return release


def _query_server(uri: str, parsed: ModelUri, server: TrackingServer) -> Release:
    try:
        if parsed.run_id:
            return _find_in_run(uri, parsed, server)
        if parsed.model_id:
            path = f"logged-models/{parsed.model_id}"
            return _logged_model(mlflow_client.call(server, path)["model"]["info"])
        return _find_version(uri, parsed, server)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelUnavailable(f"{server.address} did not respond like an MLflow registry") from error


def _find_version(uri: str, parsed: ModelUri, server: TrackingServer) -> Release:
    name = parsed.name
    if parsed.alias:
        query = {"name": name, "alias": parsed.alias}
        found = mlflow_client.call(server, "registered-models/alias", query)["model_version"]
    elif parsed.version:
        query = {"name": name, "version": parsed.version}
        found = mlflow_client.call(server, "model-versions/get", query)["model_version"]
    else:
        # The latest of each stage, or of no stage.
        model = mlflow_client.call(server, "registered-models/get", {"name": name})["registered_model"]
        versions: list[Mapping[str, Any]] = model.get("latest_versions", [])
        if not versions:
            raise ModelNotFound(f"{uri}: {name} has no version at {server.address}")
        found = max(versions, key=lambda version: int(version["version"]))
    version, run_id = str(found["version"]), str(found.get("run_id", ""))
    query = {"name": name, "version": version}
    location = str(mlflow_client.call(server, "model-versions/get-download-uri", query)["artifact_uri"])
    if is_model_uri(location):  # as older servers registered it
        location = _query_server(location, parse_model_uri(location), server).location
    return Release(name=name, version=version, run_id=run_id, location=location.rstrip("/"))


def _find_in_run(uri: str, parsed: ModelUri, server: TrackingServer) -> Release:
    """A logged model of MLflow 3 that has the name, else a folder of the run's artifacts."""
    run_id = parsed.run_id
    run = mlflow_client.call(server, "runs/get", {"run_id": run_id})["run"]["info"]
    name, _, rest = parsed.path.partition("/")
    for info in _logged_models(run_id, str(run["experiment_id"]), server):
        if info.get("name") == name:
            model = _logged_model(info)
            location = f"{model.location}/{rest}" if rest else model.location
            return msgspec.structs.replace(model, location=location)
    name = parsed.path.rpartition("/")[2]
    return Release(
        name=name, version="", run_id=run_id, location=f"{str(run['artifact_uri']).rstrip('/')}/{parsed.path}"
    )


def _logged_models(run_id: str, experiment_id: str, server: TrackingServer) -> list[Mapping[str, Any]]:
    """The logged models of a run, the newest first; none on a server of MLflow 2."""
    body = {"experiment_ids": [experiment_id], "filter": f"source_run_id = '{run_id}'"}
    try:
        found = mlflow_client.post(server, "logged-models/search", body)
    except ServerError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return []
        raise
    return [model["info"] for model in found.get("models", [])]


def _logged_model(info: Mapping[str, Any]) -> Release:
    return Release(
        name=str(info.get("name", info["model_id"])),
        version=str(info["model_id"]),
        run_id=str(info.get("source_run_id", "")),
        location=str(info["artifact_uri"]).rstrip("/"),
    )
