"""Models that fail in service, and a release pointer that moves."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from functions.releases import Release, encode_release
from jobs.registry.model_store import atomic_write_bytes, build_manifest
from tests.models import TARGET

BREAKING_ZONE = 200
"""From this pick-up zone on the models below fail."""


def save_raising(folder: Path) -> Path:
    """Raises for a ride from `BREAKING_ZONE` on: its table of zones ends there."""
    table = numpy_helper.from_array(np.full(BREAKING_ZONE, 10, np.float32), "table")
    return _save(
        folder,
        helper.make_node("Cast", ["zones"], ["numbers"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "numbers"], ["minutes"]),
        initializer=[table],
    )


def save_nan(folder: Path) -> Path:
    """Gives NaN for a ride from `BREAKING_ZONE` on."""
    limit = numpy_helper.from_array(np.array([BREAKING_ZONE - 0.5], np.float32), "limit")
    return _save(
        folder,
        helper.make_node("Sub", ["limit", "zones"], ["left"]),
        helper.make_node("Sqrt", ["left"], ["minutes"]),
        initializer=[limit],
    )


def save_twice(folder: Path) -> Path:
    """Gives two numbers a ride."""
    return _save(folder, helper.make_node("Concat", ["zones", "zones"], ["minutes"], axis=0))


def _save(folder: Path, *nodes: Any, initializer: Any = ()) -> Path:
    """A graph from pick-up zones to minutes, as MLflow keeps it."""
    import mlflow.onnx
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    graph = helper.make_graph(
        list(nodes),
        "minutes",
        [helper.make_tensor_value_info("zones", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("minutes", TensorProto.FLOAT, [None, 1])],
        initializer=list(initializer),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.onnx.save_model(
            model,
            str(folder),
            signature=ModelSignature(Schema([ColSpec("float", "PULocationID")])),
            metadata=TARGET,
            pip_requirements=["onnxruntime"],
        )
    return folder


class Pointer:
    """A release pointer at `place`, a path or `gs://…`."""

    def __init__(self, place: str) -> None:
        self.place = place

    def move(self, version: str, location: Path | str) -> None:
        """To the model in a folder, as `promote` would."""
        where = str(location)
        release = Release(name="ride-duration", version=version, location=where, files=build_manifest(where))
        self.write(encode_release(release))

    def write(self, content: bytes) -> None:
        atomic_write_bytes(self.place, content)
