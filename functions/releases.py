"""A release: one version of a model, with the location, size and hash of its files."""

from typing import Annotated

import msgspec


class ReleasedFile(msgspec.Struct, frozen=True):
    """One file of a release."""

    path: str
    """Relative to the release's location."""
    size: Annotated[int, msgspec.Meta(ge=0)]
    """Bytes."""
    sha256: str
    """Hexadecimal."""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a model and the location of its files. A release pointer is this object as JSON."""

    name: str
    """Name of the registered model, `ride-duration`."""
    version: str
    """Registry version, or the MLflow model's own id if it has none; "" until MLmodel has been read."""
    run_id: str = ""
    location: str
    """Folder of the MLflow model: `gs://…` or a path."""
    files: tuple[ReleasedFile, ...] = ()
    """Expected contents of the folder; never empty in a pointer, otherwise empty means unverified."""


def decode_release(pointer: bytes) -> Release:
    """The release in a pointer's JSON.

    Raises msgspec.MsgspecError, RecursionError or UnicodeDecodeError if the content is not a release.
    """
    return msgspec.json.decode(pointer, type=Release)


def encode_release(release: Release) -> bytes:
    """A release as a pointer's JSON, indented for people."""
    return msgspec.json.format(msgspec.json.encode(release), indent=2) + b"\n"
