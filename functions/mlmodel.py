"""MLflow's description of a model: the `MLmodel` file at the root of its folder, and its input example."""

import json
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import yaml

from functions.artifacts import ModelFolder
from functions.errors import ModelUnavailable
from functions.releases import Release

LARGEST_DESCRIPTION = 1 << 20
"""Bytes; MLflow writes a few thousand."""
LARGEST_EXAMPLE = 4 << 20
"""Bytes; read by a parser that makes twenty times as much of them."""
EXAMPLE_ROWS = 1000
"""Of the input example; more of them would only delay a model's first answer."""
DEEPEST = 50
"""Levels in MLmodel; libyaml's loader overflows the stack, and ends the process, at some ten thousand."""

Table = dict[str, npt.NDArray[Any]]
"""Columns by name, all of one length."""

TEXT = np.object_
"""NumPy's type of a column of text. Its own type of text gives every row the room of the longest."""


def as_type(column: npt.NDArray[Any], kind: Any) -> npt.NDArray[Any]:
    """A column in another type of NumPy's; what is no text becomes text as NumPy writes it.

    Raises:
        ValueError, TypeError: it holds what the type does not take.
    """
    if kind is not TEXT:
        return column.astype(kind)
    if column.dtype == TEXT:
        return np.array([str(value) for value in column], TEXT)
    return column.astype(np.str_, copy=False).astype(TEXT)


class Column(msgspec.Struct, frozen=True):
    """One input column of a model's signature."""

    name: str
    type: str
    """MLflow's name of the type: float, double, integer, long, string, …"""


class Target(msgspec.Struct, frozen=True):
    """What the model predicts; from the `metadata` that the model was logged with."""

    target: str = "ride_duration"
    unit: str = "minutes"
    minimum: float = float("-inf")
    maximum: float = float("inf")
    """A number outside minimum and maximum is not given out."""


class Description(msgspec.Struct, frozen=True):
    """What this system needs to know of an `MLmodel` file."""

    flavors: dict[str, dict[str, Any]]
    columns: tuple[Column, ...]
    """Inputs in order; empty where the model was logged without a signature of columns."""
    target: Target
    identity: str
    """MLflow 3's model id, else the run's id: what to call a model that no registry numbered."""
    example: Table
    """The input example as columns; empty where there is none in table form."""


def describe(folder: ModelFolder) -> Description:
    """Reads MLmodel and the input example that it names.

    Raises:
        ModelUnavailable: the folder is no MLflow model's.
    """
    try:
        text = folder.read("MLmodel", LARGEST_DESCRIPTION)
        _refuse_tricks(text)
        content = yaml.load(text, Loader=_LOADER)  # noqa: S506  # a safe loader, by another name
        signature = (content.get("signature") or {}).get("inputs") or "[]"
        info = content.get("saved_input_example_info") or {}
        return Description(
            flavors=msgspec.convert(content["flavors"], dict[str, dict[str, Any]]),
            columns=_columns(msgspec.json.decode(signature)),
            target=msgspec.convert(content.get("metadata") or {}, Target),
            identity=str(content.get("model_id") or content.get("run_id") or ""),
            example=_example(folder, info),
        )
    except (yaml.YAMLError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ModelUnavailable(f"MLmodel cannot be understood: {error}") from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelUnavailable(f"MLmodel lacks what MLflow writes: {error!r}") from error


def identified(release: Release, description: Description) -> Release:
    """A release with a version: what to call the model where no registry numbered it."""
    version = release.version or description.identity or release.name
    return msgspec.structs.replace(release, version=version)


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _refuse_tricks(text: bytes) -> None:
    """Refuses YAML whose loading would take the process down: few bytes, but deep or repeated many times."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            raise ModelUnavailable("MLmodel repeats itself by YAML aliases: write the values out")
        if depth > DEEPEST:
            raise ModelUnavailable(f"MLmodel has more than {DEEPEST} levels")


def _columns(inputs: list[dict[str, Any]]) -> tuple[Column, ...]:
    # A signature of unnamed tensors has no "name": such a model cannot be fed by column.
    if any("name" not in item for item in inputs):
        return ()
    return tuple(msgspec.convert(inputs, list[Column]))


def _example(folder: ModelFolder, info: dict[str, Any]) -> Table:
    if info.get("type") != "dataframe" or info.get("pandas_orient") != "split":
        return {}
    # The standard library's reader, because MLflow writes an unknown value as NaN, which is no JSON.
    frame = json.loads(folder.read(str(info["artifact_path"]), LARGEST_EXAMPLE))
    rows: list[list[Any]] = frame["data"][:EXAMPLE_ROWS]
    return {name: _column([row[position] for row in rows]) for position, name in enumerate(frame["columns"])}


def _column(values: list[Any]) -> npt.NDArray[Any]:
    known = [np.nan if value is None else value for value in values]
    return np.array(known, TEXT if any(isinstance(value, str) for value in known) else None)
