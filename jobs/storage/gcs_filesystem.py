"""A read-only fsspec view of Cloud Storage objects, so that DuckDB needs no httpfs extension.

Objects are read with the same client and identity as everything else, in chunks, as they are needed.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, BinaryIO

import fsspec
from google.cloud.storage import Blob
from google.cloud.storage.fileio import BlobReader

from jobs.storage.errors import translate_errors
from jobs.storage.gcs import blob_uri

READ_BYTES = 1 << 20
"""Bytes per request: about one column of a row group of predictions."""


class GcsFileSystem(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """Exactly the given objects, as they were when they were listed."""

    protocol = "gs"
    cachable = False

    def __init__(self, blobs: Iterable[Blob]) -> None:
        super().__init__()
        self._blobs = {self._strip_protocol(blob_uri(blob)): blob for blob in blobs}

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": self._blob(path).size, "type": "file"}

    def modified(self, path: str) -> datetime:
        updated: datetime = self._blob(path).updated
        return updated

    def glob(self, path: str, **_: Any) -> list[str]:
        return [path]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        return _Reader(self._blob(path), chunk_size=READ_BYTES)

    def _blob(self, path: str) -> Blob:
        return self._blobs[self._strip_protocol(path)]


class _Reader(BlobReader):  # type: ignore[misc]
    """An open object. Its generation comes from the listing: an object replaced since then is missing."""

    def read(self, size: int = -1) -> bytes:
        with translate_errors(blob_uri(self._blob)):
            content: bytes = super().read(size)
        return content
