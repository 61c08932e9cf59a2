"""Files by path, `gs://` or, for reading, `https://`: open, list, match, move, remove."""

import fnmatch
import glob as local_glob
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import urlsplit

import requests
from google.api_core.exceptions import NotFound

from functions.artifacts import storage_client
from jobs.storage.errors import DownloadFailed, FileAccessError, NotPublished, redact_query, translate_errors
from jobs.storage.gcs import CHUNK_BYTES, blob_at, list_objects, split_uri

CONNECT_SECONDS = 3.0
"""Short, so that a machine without a network fails fast."""
READ_SECONDS = 60.0
"""Longest silence of a web server during a download."""


@contextmanager
def open_read(uri: str) -> Iterator[BinaryIO]:
    """Opens a file for reading, seekable; wrap the reads in `translate_errors`.

    `gs://` is read in chunks, as they are needed; `https://` is first downloaded to a temporary file.

    Raises:
        FileAccessError: it is missing, forbidden or cannot be reached.
    """
    with ExitStack() as stack:
        with translate_errors(uri):
            if uri.startswith("gs://"):
                blob = blob_at(uri)
                blob.reload()  # opening alone sends no request
                file = stack.enter_context(blob.open("rb", chunk_size=CHUNK_BYTES))
            elif uri.startswith(("https://", "http://")):
                file = stack.enter_context(tempfile.TemporaryFile())
                _download(uri, file)
                file.seek(0)
            else:
                file = stack.enter_context(Path(uri).open("rb"))
        yield file


def exists(uri: str) -> bool:
    """Whether there is such a file, local or on `gs://`."""
    if uri.startswith("gs://"):
        with translate_errors(uri):
            return bool(blob_at(uri).exists())
    return Path(uri).is_file()


def is_folder(uri: str) -> bool:
    """Whether there is such a folder, local or on `gs://`, where a folder has files.

    Raises:
        FileAccessError: there is no such bucket, or it cannot be read.
    """
    if not uri.startswith("gs://"):
        return bool(uri) and Path(uri).is_dir()
    bucket, name = split_uri(uri)
    with translate_errors(uri):
        prefix = f"{name.rstrip('/')}/"
        return bool(name) and any(storage_client().list_blobs(bucket, prefix=prefix, max_results=1))


def list_names(folder: str) -> list[str]:
    """The names of the files directly in a folder, local or on `gs://`; empty if there is no such folder.

    Raises:
        FileAccessError: it cannot be listed.
    """
    if folder.startswith("gs://"):
        return list(list_objects(folder, recursive=False))
    with translate_errors(folder):
        path = Path(folder)
        return [file.name for file in path.iterdir() if file.is_file()] if path.is_dir() else []


def move(uri: str, target: str) -> None:
    """Moves a file, replacing the target atomically; repeating a finished move does nothing.

    Args:
        target: a URI in the same file system or bucket.

    Raises:
        FileAccessError: it cannot be moved.
    """
    if not exists(uri) and exists(target):
        return
    with translate_errors(uri):
        if uri.startswith("gs://"):
            blob, moved, token = blob_at(uri), blob_at(target), ""
            while token is not None:
                token, *_ = moved.rewrite(blob, token=token or None)
            blob.delete()
        else:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            Path(uri).replace(target)


def remove(uri: str) -> None:
    """Removes a file, if it exists.

    Raises:
        FileAccessError: it cannot be removed.
    """
    with translate_errors(uri):
        if uri.startswith("gs://"):
            with suppress(NotFound):
                blob_at(uri).delete()
        else:
            Path(uri).unlink(missing_ok=True)


def glob(pattern: str) -> list[str]:
    """The files that a path or `gs://` URI with `*` and `?` matches, sorted; without these, the URI itself.

    Raises:
        FileAccessError: it matches no file.
    """
    if not local_glob.has_magic(pattern):
        return [pattern]
    if pattern.startswith("gs://"):
        bucket, name = split_uri(pattern)
        if local_glob.has_magic(bucket) or not name:
            raise FileAccessError(f"{pattern} names no objects: write gs://BUCKET/NAME-*.parquet")
        prefix = name[: next(index for index, character in enumerate(name) if character in "*?[")]
        with translate_errors(pattern):
            blobs = storage_client().list_blobs(bucket, prefix=prefix)
            names = [blob.name for blob in blobs if blob.name.count("/") == name.count("/")]
        found = [f"gs://{bucket}/{each}" for each in fnmatch.filter(names, name)]
    else:
        found = local_glob.glob(pattern)  # noqa: PTH207  # Path.glob takes no absolute pattern
    if not found:
        raise FileAccessError(f"{pattern} matches no file: check the folder and the pattern")
    return sorted(found)


def samefile(uri: str, other: str) -> bool:
    """Whether both name the same file, which need not exist."""
    if "://" in uri or "://" in other:
        return uri == other
    return Path(uri).resolve() == Path(other).resolve()


def basename(uri: str) -> str:
    """The last part of a path, an object's name or a web address."""
    return PurePosixPath(urlsplit(uri).path if "://" in uri else uri).name


def join(uri: str, *names: str) -> str:
    """The URI of a file or folder inside a folder."""
    return "/".join([uri.rstrip("/"), *names])


def _download(url: str, file: BinaryIO) -> None:
    name = redact_query(url)
    try:
        with requests.get(url, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as response:
            response.raise_for_status()
            for chunk in response.iter_content(1 << 16):
                file.write(chunk)
    except requests.HTTPError as error:
        status = error.response.status_code
        # TLC's CDN answers 403, not 404, for a month it does not have.
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            raise NotPublished(
                f"{name} answered {status}: check the address in a browser;"
                " TLC publishes a month about two months later"
            ) from error
        raise DownloadFailed(
            f"{name} answered {status}: try again later, or give a downloaded file"
        ) from error
    except requests.RequestException as error:
        raise DownloadFailed(
            f"{name} cannot be reached ({type(error).__name__}): check the connection, or give a"
            " downloaded file"
        ) from error
