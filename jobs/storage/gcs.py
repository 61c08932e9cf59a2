"""Objects of Cloud Storage by their URIs."""

from google.cloud.storage import Blob

from functions.artifacts import storage_client
from jobs.storage.errors import FileAccessError, translate_errors

CHUNK_BYTES = 4 << 20
"""Bytes per request to Cloud Storage, held in memory for each open file."""


def split_uri(uri: str) -> tuple[str, str]:
    """`gs://BUCKET/NAME` as bucket and name; the name may be empty.

    Raises:
        FileAccessError: the URI names no bucket.
    """
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not bucket:
        raise FileAccessError(f"{uri} names no bucket: write gs://BUCKET/NAME")
    return bucket, name


def blob_at(uri: str) -> Blob:
    """The object `gs://BUCKET/NAME`, which may not exist.

    Raises:
        FileAccessError: the URI names no object.
    """
    bucket, name = split_uri(uri)
    if not name:
        raise FileAccessError(f"{uri} names no object: write gs://BUCKET/NAME")
    return storage_client().bucket(bucket).blob(name)


def blob_uri(blob: Blob) -> str:
    """`gs://BUCKET/NAME`."""
    return f"gs://{blob.bucket.name}/{blob.name}"


def list_objects(folder: str, *, recursive: bool = True) -> dict[str, Blob]:
    """The objects of a folder, by their names relative to it; empty if there is no such folder.

    Args:
        folder: `gs://BUCKET` or `gs://BUCKET/FOLDER`.
        recursive: whether to list subfolders as well.

    Raises:
        FileAccessError: there is no such bucket, or it cannot be read.
    """
    bucket, name = split_uri(folder)
    prefix = f"{name.rstrip('/')}/" if name.strip("/") else ""
    with translate_errors(folder):
        blobs = storage_client().list_blobs(bucket, prefix=prefix, delimiter=None if recursive else "/")
        return {blob.name.removeprefix(prefix): blob for blob in blobs}
