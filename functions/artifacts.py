"""A release's files, from gs:// or a folder: whole and as released, or an error."""

import hashlib
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from functions.errors import ModelUnavailable
from functions.releases import Release

if TYPE_CHECKING:
    from google.cloud.storage import Client

LARGEST_FILE = 1 << 30
"""Bytes; beyond a gigabyte a file is not meant for a function."""
TRY_SECONDS = 5
BUDGET_SECONDS = 15
"""For one file with all its tries; the next look at the release tries again."""


class ModelFolder:
    """The files of one release; each is checked against what the release says of it."""

    def __init__(self, release: Release) -> None:
        self._location = release.location
        self._released = {file.path: file for file in release.files}

    def read(self, path: str) -> bytes:
        """One file's content.

        Raises:
            ModelUnavailable: it is missing, out of reach, larger or other than released.
        """
        if not self._released:
            return read_file(self._location, path, LARGEST_FILE)
        released = self._released.get(path)
        if released is None:
            raise ModelUnavailable(f"{self._location}/{path} is not part of the release")
        content = read_file(self._location, path, released.size)
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
        ModelUnavailable: it is missing, out of reach or too large.
    """
    if ".." in PurePosixPath(path).parts or PurePosixPath(path).is_absolute():
        raise ModelUnavailable(f"{path!r} leads out of {location}")
    parts = urlsplit(location)
    if parts.scheme == "gs":
        content = _read_object(location.removeprefix("gs://"), path, limit)
    elif parts.scheme == "file":
        content = _read_local(Path(unquote(parts.path)) / path, limit)
    elif not parts.scheme:
        content = _read_local(Path(location) / path, limit)
    else:
        raise ModelUnavailable(
            f"{location} is not in reach of a function: models are read from gs:// and from folders. "
            "Start MLflow with --default-artifact-root gs://… so that its models are written there"
        )
    if len(content) > limit:
        raise ModelUnavailable(f"{location}/{path} is larger than the {limit} bytes it may have")
    return content


def _read_local(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise ModelUnavailable(f"{path} cannot be read: {error.strerror}") from error


def _read_object(location: str, path: str, limit: int) -> bytes:
    """`location` is BUCKET/FOLDER."""
    # Half a second of imports that a model from a folder does not need.
    from google.api_core.exceptions import GoogleAPIError, NotFound
    from google.api_core.retry import Retry
    from google.auth.exceptions import GoogleAuthError

    bucket, _, folder = location.partition("/")
    try:
        content: bytes = (
            storage_client()
            .bucket(bucket)
            .blob(f"{folder}/{path}" if folder else path)
            .download_as_bytes(
                end=limit, timeout=TRY_SECONDS, retry=Retry(initial=0.1, timeout=BUDGET_SECONDS)
            )
        )
    except NotFound as error:
        raise ModelUnavailable(f"gs://{location}/{path} does not exist") from error
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        raise ModelUnavailable(f"gs://{location}/{path} cannot be read: {error}") from error
    return content


@cache
def storage_client() -> "Client":
    """This process's Cloud Storage client; the emulator's where STORAGE_EMULATOR_HOST is set."""
    from google.cloud.storage import Client

    return Client()
