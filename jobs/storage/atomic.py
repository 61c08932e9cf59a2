"""Atomic writes, local and to Cloud Storage: readers see the old file or the complete new one."""

import fcntl
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from google.cloud.storage.fileio import BlobWriter

from jobs.storage.errors import FileAccessError, translate_errors
from jobs.storage.gcs import CHUNK_BYTES, blob_at


@contextmanager
def atomic_write(uri: str) -> Iterator[BinaryIO]:
    """A new file that appears at the URI when the body ends; if the body fails, nothing changes.

    A killed process leaves nothing that readers see: on `gs://` an unfinished upload, in a folder a hidden
    file, which the next writer of the same path removes.

    Raises:
        FileAccessError: it cannot be written.
    """
    if uri.startswith("gs://"):
        writer = _write_object(uri)
    elif "://" in uri:
        raise FileAccessError(f"{uri} cannot be written to: give a path or gs://BUCKET/NAME")
    else:
        writer = _write_locally(uri)
    with writer as file:
        yield file


@contextmanager
def _write_object(uri: str) -> Iterator[BinaryIO]:
    upload = _Upload(blob_at(uri), chunk_size=CHUNK_BYTES, ignore_flush=True)
    try:
        yield upload
        with translate_errors(uri):
            upload.close()
    except BaseException:
        with suppress(Exception):  # the first error is more informative
            upload.terminate()
        raise


class _Upload(BlobWriter):  # type: ignore[misc]
    """Finished by `close` alone: the garbage collector would close it, and so publish half a file."""

    def __del__(self) -> None:
        pass


@contextmanager
def _write_locally(name: str) -> Iterator[BinaryIO]:
    path = Path(name)
    if not path.name:
        raise FileAccessError(f"{name or 'an empty path'} is not a file: give the path of a file")
    with translate_errors(name):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale_parts(path)
        part, file = _open_part(path)
    try:
        yield file
        with translate_errors(name):
            file.flush()
            os.fsync(file.fileno())
            part.replace(path)
            file.close()
    except BaseException:
        with suppress(OSError):  # closing flushes, and fails again on a full disk
            file.close()
        part.unlink(missing_ok=True)
        raise


def _open_part(path: Path) -> tuple[Path, BinaryIO]:
    """A new hidden file, locked while its writer lives, so that nobody takes it for a stale one."""
    while True:
        # In the same folder, because a rename is atomic only within a file system.
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        file = part.open("xb")
        with suppress(OSError):  # without file locks, stale parts are never removed
            fcntl.flock(file, fcntl.LOCK_EX)
        if part.exists():
            return part, file
        file.close()  # another writer removed it before it was locked


def _remove_stale_parts(path: Path) -> None:
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(OSError), part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a living writer holds the lock
            part.unlink()
