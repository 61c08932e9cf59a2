"""What goes into an archive or an image: what .gcloudignore and .dockerignore list, and its hash."""

import hashlib
from pathlib import Path

from functions.errors import RidecastError

HASH_DIGITS = 16
"""Hexadecimal, of a SHA-256: enough that no two contents of one project meet."""


class NothingListed(RidecastError):
    """There is no list, or a line of it names no file."""


def listed(ignore_file: str, folder: Path) -> list[str]:
    """The files that an ignore file which leaves out everything else lets through.

    Args:
        ignore_file: its name. A line `!PATTERN` is for files, or for a folder with all that is in it but what
            lines `**/NAME` leave out; one that ends with a slash only opens a folder for others.
        folder: where it is, and what it is about.

    Returns:
        Paths from `folder`, with `/`, in the order of their bytes.

    Raises:
        NothingListed: something is missing or misspelt.
    """
    try:
        lines = (folder / ignore_file).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise NothingListed(f"{folder} has no {ignore_file}: this needs a checkout of Ridecast") from None
    never = {line.removeprefix("**/") for line in lines if line.startswith("**/")}
    found = set()
    for line in lines:
        if not line.startswith("!") or line.endswith("/"):
            continue
        matched = list(folder.glob(line[1:].lstrip("/")))
        files = [path for each in matched for path in (each.rglob("*") if each.is_dir() else [each])]
        names = {path.relative_to(folder) for path in files if path.is_file()}
        names = {name for name in names if not never.intersection(name.parts)}
        if not names:
            raise NothingListed(f"{ignore_file} lets {line[1:]} through, but {folder} has no such file")
        found |= {name.as_posix() for name in names}
    return sorted(found)


def content_hash(files: list[str], folder: Path) -> str:
    """The same for the same names and bytes, whatever the times, owners and order of the files."""
    digest = hashlib.sha256()
    for name in files:
        digest.update(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n".encode())
    return digest.hexdigest()[:HASH_DIGITS]
