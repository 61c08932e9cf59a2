"""Places that jobs read from and write to: paths, `gs://` and, to read, `https://`."""

import contextlib
import fcntl
import fnmatch
import glob
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import urlsplit

import pyarrow as pa
import requests
from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Blob
from google.cloud.storage.exceptions import InvalidResponse
from google.cloud.storage.fileio import BlobWriter

from functions.artifacts import storage_client
from functions.errors import RidecastError

CONNECT_SECONDS = 3.0
"""A machine without a network should say so soon."""
SILENCE_SECONDS = 60.0
"""Longest silence of a server before a download is given up."""
STEP_BYTES = 4 << 20
"""Of a request to Cloud Storage: what is held in memory for one open file."""


class FileAccessError(RidecastError):
    """A place cannot be read or written; the text says which, why, and what to do."""


class OutOfReach(FileAccessError):
    """A web address gave nothing, or not the whole of it."""


@contextmanager
def reading(place: str) -> Iterator[BinaryIO]:
    """The file at a place, open and seekable; `trouble_with` is for what is read of it.

    `gs://` is read piece by piece, as it is asked for; `https://` is first fetched into a temporary file.

    Raises:
        FileAccessError: it is missing, forbidden or out of reach.
    """
    with contextlib.ExitStack() as stack:
        with trouble_with(place):
            if place.startswith("gs://"):
                blob = blob_at(place)
                blob.reload()  # opening alone asks nobody
                file = stack.enter_context(blob.open("rb", chunk_size=STEP_BYTES))
            elif place.startswith(("https://", "http://")):
                file = stack.enter_context(tempfile.TemporaryFile())
                _fetch(place, file)
                file.seek(0)
            else:
                file = stack.enter_context(Path(place).open("rb"))
        yield file


@contextmanager
def writing(place: str) -> Iterator[BinaryIO]:
    """A file that is at the place, whole, when the body ends; if the body fails, what was there stays.

    A process that is killed leaves nothing that readers see: on `gs://` an upload that nobody finished, in a
    folder a hidden file, which the next one that writes to this place removes.

    Raises:
        FileAccessError: it cannot be written.
    """
    if place.startswith("gs://"):
        whole = _writing_to_bucket(place)
    elif "://" in place:
        raise FileAccessError(f"{place} cannot be written to: give a path or gs://BUCKET/NAME")
    else:
        whole = _writing_locally(place)
    with whole as file:
        yield file


@contextmanager
def trouble_with(place: str) -> Iterator[None]:
    """What goes wrong in the body, for a person.

    Raises:
        FileAccessError: for whatever the system and Google's and Arrow's libraries raise.
    """
    named = without_query(place)
    try:
        yield
    except FileNotFoundError as error:
        raise FileAccessError(f"{named} does not exist: give the path of a file") from error
    except OSError as error:
        if isinstance(error, requests.RequestException):
            raise FileAccessError(f"{named} cannot be reached ({error}): try again") from error
        raise FileAccessError(f"{named} cannot be used ({error.strerror or error})") from error
    except pa.ArrowException as error:
        raise FileAccessError(f"{named} cannot be read ({error}): give a whole Parquet file") from error
    except GoogleAuthError as error:
        raise FileAccessError(
            f"{named} needs credentials ({error}): run `gcloud auth application-default login`"
        ) from error
    except InvalidResponse as error:
        raise FileAccessError(_refusal(named, error.response.status_code, error)) from error
    except GoogleAPICallError as error:
        raise FileAccessError(_refusal(named, error.code or 0, error)) from error
    except GoogleAPIError as error:
        raise FileAccessError(_refusal(named, 0, error)) from error


def _refusal(place: str, status: int, error: Exception) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return f"{place} does not exist: look with `gcloud storage ls`"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return (
            f"{place} is forbidden to this identity: grant it roles/storage.objectViewer, to write "
            "roles/storage.objectUser"
        )
    return f"{place} does not answer as it should ({error}): try again"


def blob_at(place: str) -> Blob:
    """A `gs://BUCKET/NAME`, which may not exist."""
    bucket, _, name = place.removeprefix("gs://").partition("/")
    if not bucket or not name:
        raise FileAccessError(f"{place} names no object: write gs://BUCKET/NAME")
    return storage_client().bucket(bucket).blob(name)


def exists(place: str) -> bool:
    """Whether there is a file at the place, local or on `gs://`."""
    if place.startswith("gs://"):
        with trouble_with(place):
            return bool(blob_at(place).exists())
    return Path(place).is_file()


def names_in(folder: str) -> list[str]:
    """The names of the files right in a folder, local or on `gs://`; none if there is no such folder.

    Raises:
        FileAccessError: it cannot be looked into.
    """
    with trouble_with(folder):
        if folder.startswith("gs://"):
            bucket, _, name = folder.removeprefix("gs://").partition("/")
            prefix = f"{name}/" if name else ""
            blobs = storage_client().list_blobs(bucket, prefix=prefix, delimiter="/")
            return [blob.name.removeprefix(prefix) for blob in blobs]
        path = Path(folder)
        return [each.name for each in path.iterdir() if each.is_file()] if path.is_dir() else []


def move(place: str, target: str) -> None:
    """Moves a file, in one step, to where another may be; again is harmless.

    Args:
        target: in the same file system or bucket.

    Raises:
        FileAccessError: it cannot be moved.
    """
    if not exists(place) and exists(target):
        return
    with trouble_with(place):
        if place.startswith("gs://"):
            blob, moved, token = blob_at(place), blob_at(target), ""
            while token is not None:
                token, *_ = moved.rewrite(blob, token=token or None)
            blob.delete()
        else:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            Path(place).replace(target)


def remove(place: str) -> None:
    """Removes a file; it may be gone already.

    Raises:
        FileAccessError: it cannot be removed.
    """
    with trouble_with(place):
        if place.startswith("gs://"):
            with suppress(NotFound):
                blob_at(place).delete()
        else:
            Path(place).unlink(missing_ok=True)


def matching(pattern: str) -> list[str]:
    """The files that a path or `gs://` with `*` and `?` names, in order; the place itself without these.

    Raises:
        FileAccessError: there is none.
    """
    if not glob.has_magic(pattern):
        return [pattern]
    if pattern.startswith("gs://"):
        bucket, _, name = pattern.removeprefix("gs://").partition("/")
        if glob.has_magic(bucket) or not name:
            raise FileAccessError(f"{pattern} names no objects: write gs://BUCKET/NAME-*.parquet")
        before = name[: next(at for at, sign in enumerate(name) if sign in "*?[")]
        with trouble_with(pattern):
            listed = storage_client().list_blobs(bucket, prefix=before)
            names = [blob.name for blob in listed if blob.name.count("/") == name.count("/")]
        found = [f"gs://{bucket}/{each}" for each in fnmatch.filter(names, name)]
    else:
        found = glob.glob(pattern)  # noqa: PTH207  # a Path's own takes no pattern that begins with /
    if not found:
        raise FileAccessError(f"{pattern} matches no file: look at what is there")
    return sorted(found)


def same(place: str, other: str) -> bool:
    """Whether both name one file."""
    if "://" in place or "://" in other:
        return place == other
    return Path(place).resolve() == Path(other).resolve()


def without_query(place: str) -> str:
    """For people to see: what stands behind the ? of a web address may be its signature."""
    return place.partition("?")[0] if place.startswith(("https://", "http://")) else place


def name_of(place: str) -> str:
    """The last part of a path, an object's name or a web address."""
    return PurePosixPath(urlsplit(place).path if "://" in place else place).name


def join(place: str, *names: str) -> str:
    """A place below another."""
    return "/".join([place.rstrip("/"), *names])


@contextmanager
def _writing_to_bucket(place: str) -> Iterator[BinaryIO]:
    upload = _Upload(blob_at(place), chunk_size=STEP_BYTES, ignore_flush=True)
    try:
        yield upload
        with trouble_with(place):
            upload.close()
    except BaseException:
        with suppress(Exception):  # what went wrong before says more
            upload.terminate()
        raise


class _Upload(BlobWriter):  # type: ignore[misc]
    """Finished by `close` alone: a file that is forgotten would be closed, and the half of it be there."""

    def __del__(self) -> None:
        pass


@contextmanager
def _writing_locally(place: str) -> Iterator[BinaryIO]:
    path = Path(place)
    if not path.name:
        raise FileAccessError(f"{place or 'an empty path'} is no file: give the path of one")
    with trouble_with(place):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_over(path)
        part, file = _open_part(path)
    try:
        yield file
        with trouble_with(place):
            file.flush()
            os.fsync(file.fileno())
            part.replace(path)
            file.close()
    except BaseException:
        with suppress(OSError):  # a full disk says so twice
            file.close()
        part.unlink(missing_ok=True)
        raise


def _open_part(path: Path) -> tuple[Path, BinaryIO]:
    """A new hidden file; while its writer lives, nobody takes it for one that was left over."""
    while True:
        # In the same folder, because a rename is atomic only within a file system.
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        file = part.open("xb")
        with suppress(OSError):  # a file system without locks keeps what is left over
            fcntl.flock(file, fcntl.LOCK_EX)
        if part.exists():
            return part, file
        file.close()  # somebody found it before it was locked


def _remove_left_over(path: Path) -> None:
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(OSError), part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # its writer, if it lives, holds the lock
            part.unlink()


def _fetch(place: str, file: BinaryIO) -> None:
    named = without_query(place)
    try:
        with requests.get(place, stream=True, timeout=(CONNECT_SECONDS, SILENCE_SECONDS)) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_content(1 << 16):
                file.write(chunk)
    except requests.HTTPError as error:
        status = error.response.status_code
        # TLC's CDN answers 403, not 404, for a month it does not have.
        raise OutOfReach(
            f"{named} answered {status}: check the address in a browser;"
            " TLC publishes a month about two months later"
            if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
            else f"{named} answered {status}: try again later, or give a downloaded file"
        ) from error
    except requests.RequestException as error:
        raise OutOfReach(
            f"{named} cannot be reached ({type(error).__name__}): check the connection, or give a"
            " downloaded file"
        ) from error
