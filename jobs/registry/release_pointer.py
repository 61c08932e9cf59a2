"""The release pointer, a JSON file that names the release which the functions serve."""

import os
from collections.abc import Mapping

from functions.errors import ModelUnavailable, SettingsError
from functions.mlflow_client import ADDRESS, TrackingServer, is_artifact_uri
from functions.model_uris import is_model_uri
from functions.releases import Release, encode_release
from functions.resolver import resolve
from functions.settings import similar_variable
from jobs.registry.model_store import atomic_write_bytes
from jobs.registry.reachability import require_reachable
from jobs.settings import BUCKET, MODEL_NAME, Settings, read_bucket, read_tracking_server


def find_release(uri: str, environ: Mapping[str, str] = os.environ) -> Release:
    """Resolves a model URI to a release; without a URI, the champion's.

    Args:
        uri: as MODEL_URI of a function, or empty.
        environ: MODEL_BUCKET, MLFLOW_TRACKING_URI and its credentials are read from it.

    Raises:
        SettingsError: a required variable is not set, or is invalid.
        ModelUnavailable, TrackingFailed, VersionNotFound: there is no such release, or it cannot be read.
    """
    if not uri:
        return resolve(champion_pointer(environ))
    if not is_model_uri(uri):
        return resolve(uri)
    server = read_tracking_server(environ)
    if not server.address:
        similar = similar_variable(ADDRESS, environ)
        raise SettingsError(f"{uri} is in the MLflow registry: set {ADDRESS} to its address{similar}")
    if not server.address.startswith(("http://", "https://")):
        # Only a database needs MLflow, which takes seconds to import: a server is queried over HTTP.
        from jobs.registry.model_versions import release_from_database
        from jobs.registry.tracking_server import connect

        with connect(Settings(server.address, environ.get(BUCKET, ""))):
            return release_from_database(uri, server.address)
    return resolve(uri, server)


def artifact_server(release: Release, environ: Mapping[str, str] = os.environ) -> TrackingServer | None:
    """The MLflow server that serves a release's files; None if no server does."""
    return read_tracking_server(environ) if is_artifact_uri(release.location) else None


def champion_pointer(environ: Mapping[str, str] = os.environ) -> str:
    """Path or `gs://` URI of the champion's release pointer.

    Raises:
        SettingsError: MODEL_BUCKET is not set, or is invalid.
    """
    bucket = read_bucket(environ)
    if not bucket:
        raise SettingsError(
            f"no model given: give --model, or set {BUCKET} to where the releases are"
            f"{similar_variable(BUCKET, environ)}"
        )
    return Settings("", bucket).pointer(MODEL_NAME)


def read_pointer(pointer: str) -> Release | None:
    """The release that a pointer names; None if it cannot be read."""
    try:
        return resolve(pointer)
    except ModelUnavailable:
        return None


def write_pointer(pointer: str, release: Release) -> None:
    """Makes a pointer name a release; the functions load it at their next refresh.

    Raises:
        UnreachableArtifacts: the readers of the pointer could not read the release.
    """
    require_reachable(release.location, pointer.rpartition("/releases/")[0])
    atomic_write_bytes(pointer, encode_release(release))
