"""Files in the model store, `gs://…` or a folder: release pointers and the manifests of models."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from functions.artifacts import MAX_FILE_BYTES, read_file, storage_client
from functions.errors import RidecastError
from functions.mlflow_client import TrackingServer, is_artifact_uri, list_artifacts
from functions.releases import ReleasedFile
from jobs.storage.atomic import atomic_write
from jobs.storage.gcs import blob_at, split_uri


class EmptyModelFolder(RidecastError):
    """A model's folder has no files."""


def atomic_write_bytes(uri: str, content: bytes) -> None:
    """Writes a file at once: readers see the old content or the new one.

    Args:
        uri: a path or `gs://BUCKET/NAME`, where it becomes JSON that no proxy caches.
    """
    if uri.startswith("gs://"):
        blob = blob_at(uri)
        blob.cache_control = "no-store"  # with a cached pointer, functions would keep the previous model
        blob.upload_from_string(content, content_type="application/json")
        return
    with atomic_write(uri) as file:
        file.write(content)


def build_manifest(location: str, server: TrackingServer | None = None) -> tuple[ReleasedFile, ...]:
    """All files of a model's folder with their sizes and SHA-256 digests, sorted by path.

    Args:
        location: a path, `gs://BUCKET/FOLDER` or `mlflow-artifacts:/FOLDER`.
        server: the MLflow server of the last.

    Raises:
        EmptyModelFolder: the folder has no files.
        ModelUnavailable: a file cannot be read.
    """
    if location.startswith("gs://"):
        bucket, folder = split_uri(location)
        prefix = f"{folder}/"
        # Not list_objects: Google's own errors pass, which `connect` reports as retryable failures.
        blobs = storage_client().list_blobs(bucket, prefix=prefix)
        paths = sorted(blob.name.removeprefix(prefix) for blob in blobs)
    elif is_artifact_uri(location):
        paths = sorted(_list_served(server or TrackingServer(), location))
    else:
        root = Path(location)
        paths = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    if not paths:
        raise EmptyModelFolder(f"{location} contains no files: is it a model's folder?")
    manifest = []
    for path in paths:
        content = read_file(location, path, MAX_FILE_BYTES, server)
        manifest.append(ReleasedFile(path, len(content), hashlib.sha256(content).hexdigest()))
    return tuple(manifest)


def _list_served(server: TrackingServer, location: str, folder: str = "") -> Iterator[str]:
    for name, is_folder in list_artifacts(server, location, folder):
        path = f"{folder}/{name}" if folder else name
        if is_folder:
            yield from _list_served(server, location, path)
        else:
            yield path
