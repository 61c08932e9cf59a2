"""A release: one version of a model, where its files are and what they must be."""

from typing import Annotated

import msgspec


class ReleasedFile(msgspec.Struct, frozen=True):
    """One file of a release, as it must be."""

    path: str
    """Relative to the release's folder."""
    size: Annotated[int, msgspec.Meta(ge=0)]
    """Bytes."""
    sha256: str
    """Hexadecimal."""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a model, and where its files are. A release pointer is this object as JSON."""

    name: str
    """The registered model's name, `ride-duration`."""
    version: str
    """Registry version, or the MLflow model's own id where no registry was asked; "" = see MLmodel."""
    run_id: str = ""
    location: str
    """Folder of the MLflow model: `gs://…` or a path."""
    files: tuple[ReleasedFile, ...] = ()
    """What the folder must hold; empty where nobody has said so, which a pointer always does."""


def decode_release(pointer: bytes) -> Release:
    """A release from its pointer's JSON.

    Raises:
        msgspec.MsgspecError, RecursionError, UnicodeDecodeError: it is none.
    """
    return msgspec.json.decode(pointer, type=Release)


def encode_release(release: Release) -> bytes:
    """A release as its pointer's JSON, for people too."""
    return msgspec.json.format(msgspec.json.encode(release), indent=2) + b"\n"
