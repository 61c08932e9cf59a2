"""Objects of Cloud Storage as files for DuckDB, whose own way to them is an extension that it downloads.

They are read with the same client and identity as everything else, piece by piece, as they are asked for.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, BinaryIO

import fsspec
from google.cloud.storage import Blob
from google.cloud.storage.fileio import BlobReader

from functions.artifacts import storage_client
from jobs.storage.files import FileAccessError, trouble_with

PIECE_BYTES = 1 << 20
"""Of a request: about a column of a row group of predictions."""


def objects_below(place: str) -> dict[str, Blob]:
    """The objects of a folder, by their names relative to it.

    Args:
        place: `gs://BUCKET` or `gs://BUCKET/FOLDER`.

    Raises:
        FileAccessError: there is no such bucket, or it cannot be read.
    """
    bucket, _, folder = place.removeprefix("gs://").rstrip("/").partition("/")
    if not bucket:
        raise FileAccessError(f"{place} names no bucket: write gs://BUCKET/FOLDER")
    prefix = f"{folder}/" if folder else ""
    with trouble_with(place):
        found = storage_client().list_blobs(bucket, prefix=prefix)
        return {blob.name.removeprefix(prefix): blob for blob in found}


def address(blob: Blob) -> str:
    """`gs://BUCKET/NAME`."""
    return f"gs://{blob.bucket.name}/{blob.name}"


class ObjectFiles(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """The given objects and no others, as they were when they were listed; nothing can be written."""

    protocol = "gs"
    cachable = False

    def __init__(self, blobs: Iterable[Blob]) -> None:
        super().__init__()
        self._blobs = {self._strip_protocol(address(blob)): blob for blob in blobs}

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": self._blob(path).size, "type": "file"}

    def modified(self, path: str) -> datetime:
        changed: datetime = self._blob(path).updated
        return changed

    def glob(self, path: str, **_: Any) -> list[str]:
        return [path]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        return _Reader(self._blob(path), chunk_size=PIECE_BYTES)

    def _blob(self, path: str) -> Blob:
        return self._blobs[self._strip_protocol(path)]


class _Reader(BlobReader):  # type: ignore[misc]
    """An open object. Its generation is known from the list: one that is replaced meanwhile is missing."""

    def read(self, size: int = -1) -> bytes:
        with trouble_with(address(self._blob)):
            content: bytes = super().read(size)
        return content
