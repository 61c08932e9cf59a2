"""Files in the model store, `gs://…` or a folder: release pointers and the manifests of models."""

import hashlib
from pathlib import Path

from functions.artifacts import MAX_FILE_BYTES, read_file, storage_client
from functions.errors import RidecastError
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


def build_manifest(location: str) -> tuple[ReleasedFile, ...]:
    """All files of a model's folder with their sizes and SHA-256 digests, sorted by path.

    Args:
        location: a path or `gs://BUCKET/FOLDER`.

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
    else:
        root = Path(location)
        paths = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    if not paths:
        raise EmptyModelFolder(f"{location} contains no files: is it a model's folder?")
    manifest = []
    for path in paths:
        content = read_file(location, path, MAX_FILE_BYTES)
        manifest.append(ReleasedFile(path, len(content), hashlib.sha256(content).hexdigest()))
    return tuple(manifest)
