"""The files of an archive or image, from .gcloudignore or .dockerignore, and their hash."""

import hashlib
from pathlib import Path

from functions.errors import RidecastError

HASH_DIGITS = 16
"""Hexadecimal digits of a SHA-256: enough to avoid collisions within a project."""


class ManifestError(RidecastError):
    """There is no ignore file, or one of its lines matches no file."""


def list_files(ignore_file: str, folder: Path) -> list[str]:
    """The files that an ignore file which excludes everything else includes again.

    Args:
        ignore_file: its name. A line `!PATTERN` includes files, or a folder with all its contents except what
            lines `**/NAME` exclude; one that ends with a slash only opens a folder for later lines.
        folder: the folder that contains it.

    Returns:
        Paths relative to `folder`, with `/`, in byte order.

    Raises:
        ManifestError: a file is missing, or a pattern matches nothing.
    """
    try:
        lines = (folder / ignore_file).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ManifestError(f"{folder} has no {ignore_file}: run this in a checkout of Ridecast") from None
    excluded = {line.removeprefix("**/") for line in lines if line.startswith("**/")}
    included: set[str] = set()
    for line in lines:
        if not line.startswith("!") or line.endswith("/"):
            continue
        matches = list(folder.glob(line[1:].lstrip("/")))
        files = [path for match in matches for path in (match.rglob("*") if match.is_dir() else [match])]
        names = {path.relative_to(folder) for path in files if path.is_file()}
        names = {name for name in names if not excluded.intersection(name.parts)}
        if not names:
            raise ManifestError(f"{ignore_file} includes {line[1:]}, but {folder} has no such file")
        included |= {name.as_posix() for name in names}
    return sorted(included)


def content_hash(files: list[str], folder: Path) -> str:
    """A hash of names and contents, independent of the times, owners and order of the files."""
    digest = hashlib.sha256()
    for name in files:
        digest.update(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n".encode())
    return digest.hexdigest()[:HASH_DIGITS]
