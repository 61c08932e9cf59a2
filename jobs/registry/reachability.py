"""Whether those who follow a release pointer can read the model that it names."""

import shlex
from pathlib import Path

from functions.errors import RidecastError
from functions.mlflow_client import is_artifact_uri
from jobs.ui.hints import job_command, python_command


class UnreachableArtifacts(RidecastError):
    """Files are stored where the readers of the model bucket cannot read them."""


def require_reachable(location: str, bucket: str, remedy: str = "") -> None:
    """Checks that a location can be named by a pointer in a bucket.

    A pointer on `gs://` is read on other machines, so it names `gs://` only. One in a folder is read here: it
    may also name a folder or an MLflow server.

    Args:
        location: where a model or an experiment has its files.
        bucket: `gs://BUCKET` or a folder.
        remedy: what to do; by default, how to copy a model to the bucket.

    Raises:
        UnreachableArtifacts: it cannot.
    """
    if location.startswith("gs://"):
        return
    if not bucket.startswith("gs://") and ("://" not in location or location.startswith("file:")):
        return
    if not bucket.startswith("gs://") and is_artifact_uri(location):
        return
    raise UnreachableArtifacts(
        f"the files are in {location}, which programs that read {bucket} cannot reach: "
        f"{remedy or _how_to_copy(location, bucket)}"
    )


def describe_location(location: str, bucket: str) -> str:
    """A location for people, with a note if it is not in the model bucket.

    Args:
        location: as a path or URI.
        bucket: `gs://BUCKET` or a folder.
    """
    if is_artifact_uri(location):
        return f"{location}, which the MLflow server serves: its readers need MLFLOW_TRACKING_URI"
    local = location.removeprefix("file://")
    root = bucket if bucket.startswith("gs://") else str(Path(bucket).absolute())
    if f"{local}/".startswith(f"{root}/"):
        return location
    note = f"{location}, which is not in MODEL_BUCKET={bucket}: MLflow keeps an experiment's first location"
    allow = (
        "; functions that restrict MODEL_BUCKETS need its bucket there"
        if location.startswith("gs://")
        else ""
    )
    return note + allow


def _how_to_copy(location: str, bucket: str) -> str:
    folder, first = location, ""
    if "://" in location or is_artifact_uri(location):
        folder = "model"
        download = f"{python_command()} -m mlflow artifacts download --artifact-uri"
        first = f"`{download} {shlex.quote(location)} --dst-path {folder}`, "
    copy = f"{bucket}/models/MODEL"
    command = "gcloud storage cp --recursive" if bucket.startswith("gs://") else "cp -r"
    return (
        f"copy them with {first}`{command} {shlex.quote(folder)} {copy}`, then promote the copy with "
        f"`{job_command(f'promote --model {copy}')}`"
    )
