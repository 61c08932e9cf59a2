"""A training in MLflow: its run, what is logged there, and the registered version."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import mlflow
import mlflow.onnx
import mlflow.sklearn
import msgspec
import onnx
import pandas as pd
import skops.io
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from sklearn.pipeline import Pipeline

from functions.mlmodel import Target
from jobs.registry.model_versions import SCIKIT_LEARN
from jobs.registry.tracking_server import reachable
from jobs.settings import Settings

ONNX = "onnx"


@contextmanager
def tracked_run(settings: Settings, experiment: str) -> Iterator[str]:
    """A run under way, which ends with the body: its id.

    A new experiment keeps its artifacts in the model bucket.

    Raises:
        TrackingFailed: the tracking server or the bucket refuses, here or in the body.
    """
    _quieten()
    with reachable(settings):
        mlflow.set_tracking_uri(settings.tracking_uri)
        mlflow.set_registry_uri(settings.tracking_uri)
        known = mlflow.get_experiment_by_name(experiment)
        identity = (
            known.experiment_id
            if known
            else mlflow.create_experiment(experiment, artifact_location=_artifacts(settings.bucket))
        )
        with mlflow.start_run(experiment_id=identity) as run:
            yield run.info.run_id


def log_scikit_learn(
    pipeline: Pipeline,
    signature: ModelSignature,
    example: pd.DataFrame,
    target: Target,
    method: str = "predict",
) -> None:
    """The pipeline as it was fitted, in a file that runs no code.

    Args:
        method: of the pipeline, which MLflow's own server calls.
    """
    mlflow.sklearn.log_model(
        pipeline,
        name=SCIKIT_LEARN,
        serialization_format="skops",
        skops_trusted_types=list(skops.io.get_untrusted_types(data=skops.io.dumps(pipeline))),
        pyfunc_predict_fn=method,
        signature=signature,
        input_example=example,
        metadata=msgspec.to_builtins(target),
        pip_requirements=_pinned("scikit-learn", "skops", "pandas"),
    )


def log_onnx(graph: onnx.ModelProto, inputs: Schema, example: pd.DataFrame, target: Target) -> str:
    """The model as it is served: its address.

    Args:
        inputs: named columns; all of them in one matrix, or each an input of the graph.
        example: rows of these, on which the model is tried wherever it is loaded.
        target: what the functions and the batch job say and check about the model's numbers.
    """
    logged = mlflow.onnx.log_model(
        graph,
        name=ONNX,
        save_as_external_data=False,
        signature=ModelSignature(inputs, Schema([ColSpec(DataType.float, target.target)])),
        input_example=example,
        metadata=msgspec.to_builtins(target),
        onnx_execution_providers=["CPUExecutionProvider"],
        pip_requirements=_pinned("onnx", "onnxruntime", "pandas"),
    )
    return str(logged.model_uri)


def register(model: str, name: str, tags: dict[str, str]) -> int:
    """The number of the new version of `name`."""
    return int(mlflow.register_model(model, name, tags=tags).version)


def _artifacts(bucket: str) -> str:
    if bucket.startswith("gs://"):
        return f"{bucket}/mlflow"
    return (Path(bucket).absolute() / "mlflow").as_uri()


def _pinned(*packages: str) -> list[str]:
    return [f"{package}=={version(package)}" for package in packages]


def _quieten() -> None:
    """What MLflow tells about itself is not what the one who trains wants to read."""
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"mlflow\..*")
