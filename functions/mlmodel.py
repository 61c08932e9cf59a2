"""Reads a model's `MLmodel` file, which MLflow writes to the root of its folder, and its input example."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import yaml

from functions.artifacts import ModelFolder
from functions.errors import ModelDamaged, ModelUnavailable
from functions.features import FEATURES
from functions.releases import Release

MAX_MLMODEL_BYTES = 1 << 20
"""MLflow writes a few thousand bytes."""
MAX_EXAMPLE_BYTES = 4 << 20
"""The parsed example takes twenty times as much memory."""
MAX_EXAMPLE_ROWS = 1000
"""More rows would only delay the start of a model."""
MAX_YAML_DEPTH = 50
"""libyaml's loader overflows the stack, which kills the process, at about 10,000 levels."""

DURATION = "ride_duration"
"""The target of a model of rides that does not name another."""

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

    target: str = "prediction"
    """Name of the quantity: `ride_duration`, `price`."""
    unit: str = ""
    """`minutes`; empty if it has none, or it is not known."""
    minimum: float = float("-inf")
    maximum: float = float("inf")
    """Predictions outside minimum and maximum are rejected."""

    @property
    def column(self) -> str:
        """Name of a table's column with these predictions: `predicted_price`, or `prediction`."""
        return f"predicted_{self.target}" if self.target != PredictionTarget().target else self.target

    @property
    def unit_suffix(self) -> str:
        """The unit as it follows a number, " minutes"; empty if there is none."""
        return f" {self.unit}" if self.unit else ""

    def of_rides(self) -> "PredictionTarget":
        """The same for a model of rides: unless its metadata say otherwise, the duration in minutes."""
        target = self.target if self.target != PredictionTarget().target else DURATION
        unit = self.unit or ("minutes" if target == DURATION else "")
        return msgspec.structs.replace(self, target=target, unit=unit)


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
    text = folder.read("MLmodel", MAX_MLMODEL_BYTES)
    if wrong := _wrong_content(text):
        raise damaged_file(folder, "MLmodel", "model", wrong)
    try:
        _check_yaml(text)
        content = yaml.load(text, Loader=_LOADER)  # noqa: S506  # _LOADER is a safe loader
        signature = (content.get("signature") or {}).get("inputs") or "[]"
        info = content.get("saved_input_example_info") or {}
        return ModelDescription(
            flavors=msgspec.convert(content["flavors"], dict[str, dict[str, Any]]),
            columns=_columns(msgspec.json.decode(signature)),
            target=_target(content.get("metadata") or {}),
            identity=str(content.get("model_id") or content.get("run_id") or ""),
            example=_example(folder, info),
        )
    except (yaml.YAMLError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise damaged_file(folder, "MLmodel", "model", f"MLmodel cannot be parsed: {error}") from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        detail = f"MLmodel or its input example is not as MLflow writes it: {error!r}"
        raise damaged_file(folder, "MLmodel", "model", detail) from error


def damaged_file(
    folder: ModelFolder, path: str, kind: str, detail: object, content: bytes = b"-"
) -> ModelUnavailable:
    """The error for a file that is not what it should be: which file, why, and what to do.

    Args:
        kind: what the file should be: `ONNX model`.
        detail: what a library says about it.
        content: the file's; if it is evidently something else, that is said instead.
    """
    wrong = _wrong_content(content)
    return ModelDamaged(
        f"the {kind} cannot be loaded: {wrong or str(detail).rstrip('. ')} ({folder.location}/{path}). "
        "Compare the file with the one that was logged; then copy it or log the model again, and promote that"
    )


def takes_rides(columns: Sequence[str]) -> bool:
    """Whether a model with these columns predicts rides: all are features of rides."""
    return set(columns) <= set(FEATURES)


def with_version(release: Release, description: ModelDescription) -> Release:
    """The release with a version, even if it does not come from a registry."""
    version = release.version or description.identity or release.name
    return msgspec.structs.replace(release, version=version)


def _wrong_content(content: bytes) -> str:
    """What a file evidently is instead of a model, as a clause; empty if it may be one."""
    start = content[:200].lstrip().lower()
    if not start:
        return "the file is empty"
    if start.startswith(b"version https://git-lfs"):
        return "the file is only Git LFS's pointer to it: run `git lfs pull` before you copy it"
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "the file is a web page or an XML error, such as a login page saved under its name"
    return ""


def _target(metadata: dict[str, Any]) -> PredictionTarget:
    """The target that the metadata describe; keys that are null count as missing."""
    given = {name: metadata[name] for name in _METADATA if metadata.get(name) is not None}
    problems = [
        f"{name} is {value!r}, not {'text' if _METADATA[name] is str else 'a number'}"
        for name, value in given.items()
        if isinstance(value, bool) or not isinstance(value, _METADATA[name])
    ]
    if not problems:
        target = msgspec.convert(given, PredictionTarget)
        # The ride's id stands beside the prediction, under its name.
        if target.target in ("", "ride_id"):
            problems.append(f"target is {target.target!r}, which cannot be the name of a prediction")
        if not target.minimum <= target.maximum:
            problems.append(f"minimum is {target.minimum:g}, but maximum is {target.maximum:g}")
    if problems:
        raise ModelUnavailable(
            f"the model's metadata do not describe what it predicts: {'; '.join(problems)}. Log the model "
            'again with, for example, metadata={"target": "ride_fare", "unit": "dollars", "minimum": 0.0, '
            '"maximum": 500.0}'
        )
    return target


_METADATA: dict[str, Any] = {"target": str, "unit": str, "minimum": (int, float), "maximum": (int, float)}
"""Keys of a model's metadata → their types."""
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
