"""The model bucket: `gs://…` or a folder, whichever MODEL_BUCKET says."""

import hashlib
from pathlib import Path

from functions.artifacts import LARGEST_FILE, read_file, storage_client
from functions.errors import RidecastError
from functions.releases import ReleasedFile
from jobs.storage.files import blob_at, writing


class BucketError(RidecastError):
    """The bucket cannot be read or written as asked."""


def write_whole(place: str, content: bytes) -> None:
    """Writes a file so that readers see the old one or the new one, never a part.

    Args:
        place: `gs://BUCKET/NAME`, whose uploads are atomic, or a path.
    """
    if place.startswith("gs://"):
        blob = blob_at(place)
        blob.cache_control = "no-store"  # a cached pointer would hold functions back
        blob.upload_from_string(content, content_type="application/json")
        return
    with writing(place) as file:
        file.write(content)


def take_stock(location: str) -> tuple[ReleasedFile, ...]:
    """Every file of a model's folder with its size and SHA-256.

    Args:
        location: `gs://BUCKET/FOLDER` or a path.

    Raises:
        BucketError: the folder is empty.
        ModelUnavailable: a file of it cannot be read.
    """
    names = _names(location)
    if not names:
        raise BucketError(f"{location} holds no files: is it a model's folder?")
    stock = []
    for name in names:
        content = read_file(location, name, LARGEST_FILE)
        stock.append(ReleasedFile(name, len(content), hashlib.sha256(content).hexdigest()))
    return tuple(stock)


def _names(location: str) -> list[str]:
    """Relative paths of a folder's files, sorted."""
    if location.startswith("gs://"):
        bucket, _, folder = location.removeprefix("gs://").partition("/")
        prefix = f"{folder}/"
        blobs = storage_client().list_blobs(bucket, prefix=prefix)
        return sorted(blob.name.removeprefix(prefix) for blob in blobs)
    root = Path(location)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
