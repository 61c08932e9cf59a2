"""Reads a release's files from gs://, a folder or an MLflow server, and verifies their size and hash."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from functions.errors import (
    ModelDamaged,
    ModelNotAllowed,
    ModelNotFound,
    ModelUnavailable,
    ModelUnreachable,
)
from functions.mlflow_client import TrackingServer, is_artifact_uri, read_artifact
from functions.releases import Release

MAX_FILE_BYTES = 1 << 30
"""Functions are not meant for models larger than 1 GiB."""
ATTEMPT_SECONDS = 5
TOTAL_SECONDS = 15
"""Time limit for one file with all attempts; the next refresh of the model tries again."""
MAX_BACKOFF_SECONDS = 1.0
"""Longest pause between attempts, so that a recovered store is read soon."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_PERCENT_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")


class ModelFolder:
    """The files of one release, verified against its list of sizes and hashes.

    Args:
        server: the MLflow server of locations such as `mlflow-artifacts:/…`.
    """

    def __init__(self, release: Release, server: TrackingServer | None = None) -> None:
        self._location = release.location
        self._server = server
        self._expected = {file.path: file for file in release.files}
        self._prefetched: dict[str, Future[bytes]] = {}

    @property
    def location(self) -> str:
        """Where the files are: `gs://…` or a path."""
        return self._location

    @contextmanager
    def prefetch(self, limits: Mapping[str, int]) -> Iterator[None]:
        """Fetches files concurrently, each in a thread, while the block runs; `read` waits for its file.

        A failure is raised only when the file is read; files that are not part of the release are skipped.
        `limits` holds each path's size limit in bytes, whatever the release says.
        """
        released = {path: limit for path, limit in limits.items() if path in self._expected}
        with ThreadPoolExecutor(len(limits)) as threads:
            self._prefetched = {path: threads.submit(self._fetch, path, released[path]) for path in released}
            try:
                yield
            finally:
                self._prefetched = {}

    def read(self, path: str, limit: int = MAX_FILE_BYTES) -> bytes:
        """One file's content, of at most `limit` bytes, whatever the release says.

        Raises ModelUnavailable if the file is missing, unreachable, too large or not as released.
        """
        prefetched = self._prefetched.pop(path, None)
        content = prefetched.result() if prefetched else self._fetch(path, limit)
        if len(content) > limit:
            raise ModelUnavailable(f"{self._location}/{path} is larger than the limit of {limit} bytes")
        return content

    def _fetch(self, path: str, limit: int) -> bytes:
        if not self._expected:
            return read_file(self._location, path, limit, self._server)
        expected = self._expected.get(path)
        if expected is None:
            raise ModelDamaged(f"{self._location}/{path} is not part of the release")
        content = read_file(self._location, path, min(expected.size, limit), self._server)
        if len(content) != expected.size or hashlib.sha256(content).hexdigest() != expected.sha256:
            raise ModelDamaged(
                f"{self._location}/{path} is not the file that was released: its size or SHA-256 "
                "differs. If the change is intended, promote the model again"
            )
        return content


def read_file(location: str, path: str, limit: int, server: TrackingServer | None = None) -> bytes:
    """The content of `path` under `location`, `gs://BUCKET/…`, `mlflow-artifacts:/…`, `file://…` or a folder.

    Raises ModelUnavailable if the file is missing or unreachable, if its address is ambiguous, or if it has
    more than `limit` bytes; the rest is not read.
    """
    if not path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ModelNotAllowed(f"{path!r} is outside {location}")
    _require_plain_path(path)
    if _PERCENT_ENCODED.search(path):
        raise ModelUnavailable(f"{path!r} is percent-encoded: use the file's actual name")
    if location.startswith("gs://"):
        content = _read_object(*_bucket_and_folder(location), path, limit)
    elif location.startswith("file:"):
        content = _read_local(_file_uri_path(location), path, limit)
    elif location and not _SCHEME.match(location):
        _require_plain_path(location)
        content = _read_local(Path(location), path, limit)
    elif is_artifact_uri(location):
        _require_plain_uri(location, location)
        content = read_artifact(server or TrackingServer(), location, path, limit)
    else:
        raise ModelNotAllowed(
            f"{location!r} is not a supported location: models are read from gs://, local folders and MLflow "
            "servers that serve their artifacts themselves (mlflow-artifacts:/). Start MLflow with "
            "--default-artifact-root gs://…, or without --default-artifact-root, and log the model again"
        )
    if len(content) > limit:
        raise ModelUnavailable(f"{location}/{path} is larger than the limit of {limit} bytes")
    return content


def _bucket_and_folder(location: str) -> tuple[str, str]:
    bucket, _, folder = location.removeprefix("gs://").partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise ModelUnavailable(f"{location!r} has no valid bucket name: use gs://BUCKET/FOLDER")
    _require_plain_uri(folder, location)
    return bucket, folder


def _require_plain_uri(path: str, location: str) -> None:
    _require_plain_path(path)
    if _PERCENT_ENCODED.search(path):
        raise ModelUnavailable(f"{location!r} is percent-encoded: use the files' actual names")


def _file_uri_path(uri: str) -> Path:
    path = unquote(uri.removeprefix("file:").removeprefix("//"))
    if not path.startswith("/"):
        raise ModelUnavailable(f"{uri!r} is not a local absolute path: use file:///FOLDER")
    _require_plain_path(path)
    return Path(path)


def _require_plain_path(path: str) -> None:
    """Rejects paths that the layers down to the file could interpret differently."""
    if ".." in PurePosixPath(path).parts or "\\" in path or (path and not path.isprintable()):
        raise ModelNotAllowed(f"{path!r} must not contain .., backslashes or control characters")


def _read_local(folder: Path, path: str, limit: int) -> bytes:
    try:
        resolved = (folder / path).resolve()
        if not resolved.is_relative_to(folder.resolve()):
            raise ModelNotAllowed(f"{path!r} is outside {folder}: it is a link to {resolved}")
        with resolved.open("rb") as file:
            # Not simply `limit`: read() allocates the requested size at once.
            return file.read(min(limit, os.fstat(file.fileno()).st_size) + 1)
    except (OSError, RuntimeError) as error:  # Python 3.11 raises RuntimeError for a loop of links
        raise _unreadable(error)(f"{folder / path} cannot be read: {error}") from error


def _unreadable(error: Exception) -> type[ModelUnavailable]:
    """The error that stands for a file system's."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ModelNotFound
    return ModelNotAllowed if isinstance(error, PermissionError) else ModelUnreachable


def _read_object(bucket: str, folder: str, path: str, limit: int) -> bytes:
    # Imported here because a model in a folder does not need these, which take half a second.
    from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound, Unauthorized
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.retry import DEFAULT_RETRY

    name = f"{folder}/{path}" if folder else path
    # DEFAULT_RETRY knows the errors of a download for a 503 or a timeout; a plain Retry does not.
    retry = DEFAULT_RETRY.with_delay(0.1, MAX_BACKOFF_SECONDS).with_timeout(TOTAL_SECONDS)
    try:
        blob = storage_client().bucket(bucket).blob(name)
        content: bytes = blob.download_as_bytes(end=limit, timeout=ATTEMPT_SECONDS, retry=retry)
    except NotFound as error:
        raise ModelNotFound(f"gs://{bucket}/{name} does not exist") from error
    except (Forbidden, Unauthorized, GoogleAuthError) as error:
        raise ModelNotAllowed(f"gs://{bucket}/{name} cannot be read: {error}") from error
    except (GoogleAPIError, OSError) as error:
        raise ModelUnreachable(f"gs://{bucket}/{name} cannot be read: {error}") from error
    return content


@cache
def storage_client() -> Any:
    """This process's Cloud Storage client; for the emulator if STORAGE_EMULATOR_HOST is set."""
    from google.cloud.storage import Client

    return Client()
