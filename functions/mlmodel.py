"""Reads a model's `MLmodel` file, which MLflow writes to the root of its folder, and its input example."""

import json
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import yaml

from functions.artifacts import ModelFolder
from functions.errors import ModelUnavailable
from functions.releases import Release

MAX_MLMODEL_BYTES = 1 << 20
"""MLflow writes a few thousand bytes."""
MAX_EXAMPLE_BYTES = 4 << 20
"""The parsed example takes twenty times as much memory."""
MAX_EXAMPLE_ROWS = 1000
"""More rows would only delay the start of a model."""
MAX_YAML_DEPTH = 50
"""libyaml's loader overflows the stack, which kills the process, at about 10,000 levels."""

ColumnTable = dict[str, npt.NDArray[Any]]
"""Columns by name, of the same length."""

TEXT_DTYPE = np.object_
"""The dtype of string columns. NumPy's own string type would pad each row to the longest."""


def cast_column(column: npt.NDArray[Any], dtype: Any) -> npt.NDArray[Any]:
    """A column converted to another dtype, to text as NumPy formats it.

    Raises ValueError or TypeError if a value cannot be converted.
    """
    if dtype is not TEXT_DTYPE:
        return column.astype(dtype)
    if column.dtype == TEXT_DTYPE:
        return np.array([str(value) for value in column], TEXT_DTYPE)
    return column.astype(np.str_, copy=False).astype(TEXT_DTYPE)


class InputColumn(msgspec.Struct, frozen=True):
    """One input column of a model's signature."""

    name: str
    type: str
    """MLflow's type: float, double, integer, long, string, …"""


class PredictionTarget(msgspec.Struct, frozen=True):
    """What the model predicts; from the `metadata` with which it was logged."""

    target: str = "ride_duration"
    unit: str = "minutes"
    minimum: float = float("-inf")
    maximum: float = float("inf")
    """Predictions outside minimum and maximum are rejected."""


class ModelDescription(msgspec.Struct, frozen=True):
    """The relevant contents of an `MLmodel` file."""

    flavors: dict[str, dict[str, Any]]
    columns: tuple[InputColumn, ...]
    """Inputs in order; empty if the model was logged without a column-based signature."""
    target: PredictionTarget
    identity: str
    """MLflow 3's model id, else the run id: the version of a model that has none in a registry."""
    example: ColumnTable
    """The input example as columns; empty if there is none in table format."""


def read_description(folder: ModelFolder) -> ModelDescription:
    """Reads MLmodel and its input example; raises ModelUnavailable if they are not as MLflow writes them."""
    try:
        text = folder.read("MLmodel", MAX_MLMODEL_BYTES)
        _check_yaml(text)
        content = yaml.load(text, Loader=_LOADER)  # noqa: S506  # _LOADER is a safe loader
        signature = (content.get("signature") or {}).get("inputs") or "[]"
        info = content.get("saved_input_example_info") or {}
        return ModelDescription(
            flavors=msgspec.convert(content["flavors"], dict[str, dict[str, Any]]),
            columns=_columns(msgspec.json.decode(signature)),
            target=msgspec.convert(content.get("metadata") or {}, PredictionTarget),
            identity=str(content.get("model_id") or content.get("run_id") or ""),
            example=_example(folder, info),
        )
    except (yaml.YAMLError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ModelUnavailable(f"MLmodel cannot be parsed: {error}") from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelUnavailable(f"MLmodel or its example is not as MLflow writes it: {error!r}") from error


def with_version(release: Release, description: ModelDescription) -> Release:
    """The release with a version, even if it does not come from a registry."""
    version = release.version or description.identity or release.name
    return msgspec.structs.replace(release, version=version)


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _check_yaml(text: bytes) -> None:
    """Rejects small YAML files that would crash the process: nested deeply, or expanding through aliases."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            raise ModelUnavailable("MLmodel uses YAML aliases, which are not allowed: write the values out")
        if depth > MAX_YAML_DEPTH:
            raise ModelUnavailable(f"MLmodel has more than {MAX_YAML_DEPTH} levels of nesting")


def _columns(inputs: list[dict[str, Any]]) -> tuple[InputColumn, ...]:
    # A tensor-based signature has no column names: such a model cannot be fed by column.
    if any("name" not in item for item in inputs):
        return ()
    return tuple(msgspec.convert(inputs, list[InputColumn]))


def _example(folder: ModelFolder, info: dict[str, Any]) -> ColumnTable:
    if info.get("type") != "dataframe" or info.get("pandas_orient") != "split":
        return {}
    # The standard library's parser accepts NaN, which MLflow writes for unknown values.
    frame = json.loads(folder.read(str(info["artifact_path"]), MAX_EXAMPLE_BYTES))
    rows: list[list[Any]] = frame["data"][:MAX_EXAMPLE_ROWS]
    return {name: _to_array([row[index] for row in rows]) for index, name in enumerate(frame["columns"])}


def _to_array(values: list[Any]) -> npt.NDArray[Any]:
    filled = [np.nan if value is None else value for value in values]
    return np.array(filled, TEXT_DTYPE if any(isinstance(value, str) for value in filled) else None)
