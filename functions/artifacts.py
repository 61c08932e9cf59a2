"""A release's files, from gs:// or a folder: whole and as released, or an error."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from functions.errors import ModelUnavailable
from functions.releases import Release

if TYPE_CHECKING:
    from google.cloud.storage import Client

LARGEST_FILE = 1 << 30
"""Bytes; beyond a gigabyte a file is not meant for a function."""
TRY_SECONDS = 5
BUDGET_SECONDS = 15
"""For one file with all its tries; the next look at the release tries again."""
LONGEST_PAUSE_SECONDS = 1.0
"""Between two tries: a store that comes back is read a moment later."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_PERCENT_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")


class ModelFolder:
    """The files of one release; each is checked against what the release says of it."""

    def __init__(self, release: Release) -> None:
        self._location = release.location
        self._released = {file.path: file for file in release.files}
        self._coming: dict[str, Future[bytes]] = {}

    @contextmanager
    def fetching(self, limits: Mapping[str, int]) -> Iterator[None]:
        """Meanwhile files are fetched at the same time, each in a thread; `read` waits for the one it wants.

        One that cannot be fetched matters only to who reads it; one that was not released is left out.

        Args:
            limits: path → bytes that such a file may have, whatever the release says.
        """
        with ThreadPoolExecutor(len(limits)) as threads:
            self._coming = {
                path: threads.submit(self._fetch, path, limit)
                for path, limit in limits.items()
                if path in self._released
            }
            try:
                yield
            finally:
                self._coming = {}

    def read(self, path: str, limit: int = LARGEST_FILE) -> bytes:
        """One file's content.

        Args:
            limit: bytes that such a file may have, whatever the release says.

        Raises:
            ModelUnavailable: it is missing, out of reach, larger or other than released.
        """
        coming = self._coming.pop(path, None)
        content = coming.result() if coming else self._fetch(path, limit)
        if len(content) > limit:
            raise ModelUnavailable(f"{self._location}/{path} is larger than the {limit} bytes it may have")
        return content

    def _fetch(self, path: str, limit: int) -> bytes:
        if not self._released:
            return read_file(self._location, path, limit)
        released = self._released.get(path)
        if released is None:
            raise ModelUnavailable(f"{self._location}/{path} is not part of the release")
        content = read_file(self._location, path, min(released.size, limit))
        if len(content) != released.size or hashlib.sha256(content).hexdigest() != released.sha256:
            raise ModelUnavailable(
                f"{self._location}/{path} is not the file that was released: its size or SHA-256 "
                "differs; promote the model again if the change is meant"
            )
        return content


def read_file(location: str, path: str, limit: int) -> bytes:
    """The content of `path` under `location`, `gs://BUCKET/…`, `file://…` or a folder.

    Args:
        limit: bytes; a larger file is refused without reading all of it.

    Raises:
        ModelUnavailable: it is missing, out of reach or too large, or its address could be misread.
    """
    if not path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ModelUnavailable(f"{path!r} leads out of {location}")
    _refuse_odd(path)
    if _PERCENT_ENCODED.search(path):
        raise ModelUnavailable(f"{path!r} is percent-encoded: a release names its files as they are")
    if location.startswith("gs://"):
        content = _read_object(*_bucket_and_folder(location), path, limit)
    elif location.startswith("file:"):
        content = _read_local(_folder(location), path, limit)
    elif location and not _SCHEME.match(location):
        _refuse_odd(location)
        content = _read_local(Path(location), path, limit)
    else:
        raise ModelUnavailable(
            f"{location!r} is not in reach of a function: models are read from gs:// and from folders. "
            "Start MLflow with --default-artifact-root gs://… so that its models are written there"
        )
    if len(content) > limit:
        raise ModelUnavailable(f"{location}/{path} is larger than the {limit} bytes it may have")
    return content


def _bucket_and_folder(location: str) -> tuple[str, str]:
    bucket, _, folder = location.removeprefix("gs://").partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise ModelUnavailable(f"{location!r} names no bucket: write gs://BUCKET/FOLDER")
    _refuse_odd(folder)
    if _PERCENT_ENCODED.search(folder):
        raise ModelUnavailable(f"{location!r} is percent-encoded: write the objects' own names")
    return bucket, folder


def _folder(uri: str) -> Path:
    path = unquote(uri.removeprefix("file:").removeprefix("//"))
    if not path.startswith("/"):
        raise ModelUnavailable(f"{uri!r} is not this machine's: write file:///FOLDER")
    _refuse_odd(path)
    return Path(path)


def _refuse_odd(path: str) -> None:
    """Refuses what some part on the way to a file may read in another way than the next one."""
    if ".." in PurePosixPath(path).parts or "\\" in path or (path and not path.isprintable()):
        raise ModelUnavailable(f"{path!r} must be written without .., backslashes and control characters")


def _read_local(folder: Path, path: str, limit: int) -> bytes:
    try:
        whole = (folder / path).resolve()
        if not whole.is_relative_to(folder.resolve()):
            raise ModelUnavailable(f"{path!r} leads out of {folder}: it is a link to {whole}")
        with whole.open("rb") as file:
            # No more than there is: read() takes the memory that it is asked for at once.
            return file.read(min(limit, os.fstat(file.fileno()).st_size) + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError is Python 3.11's for links in a circle
        raise ModelUnavailable(f"{folder / path} cannot be read: {error}") from error


def _read_object(bucket: str, folder: str, path: str, limit: int) -> bytes:
    # Half a second of imports that a model from a folder does not need.
    from google.api_core.exceptions import GoogleAPIError, NotFound
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.retry import DEFAULT_RETRY

    name = f"{folder}/{path}" if folder else path
    try:
        content: bytes = (
            storage_client()
            .bucket(bucket)
            .blob(name)
            .download_as_bytes(
                end=limit,
                timeout=TRY_SECONDS,
                # Knows what a download raises for a 503 or a timeout, which a plain Retry does not.
                retry=DEFAULT_RETRY.with_delay(0.1, LONGEST_PAUSE_SECONDS).with_timeout(BUDGET_SECONDS),
            )
        )
    except NotFound as error:
        raise ModelUnavailable(f"gs://{bucket}/{name} does not exist") from error
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        raise ModelUnavailable(f"gs://{bucket}/{name} cannot be read: {error}") from error
    return content


@cache
def storage_client() -> "Client":
    """This process's Cloud Storage client; the emulator's where STORAGE_EMULATOR_HOST is set."""
    from google.cloud.storage import Client

    return Client()
