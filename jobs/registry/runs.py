"""Training runs in MLflow: logging models and registering them as versions."""

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

from functions.mlmodel import PredictionTarget
from jobs.registry.model_versions import SCIKIT_LEARN
from jobs.registry.tracking_server import connect
from jobs.settings import Settings

ONNX = "onnx"


@contextmanager
def tracked_run(settings: Settings, experiment: str) -> Iterator[str]:
    """Starts an MLflow run that ends with the body; yields its id.

    A new experiment stores its artifacts in the model bucket.

    Raises:
        TrackingFailed: the tracking server or the bucket failed, here or in the body.
    """
    _silence_mlflow()
    with connect(settings):
        mlflow.set_tracking_uri(settings.tracking_uri)
        mlflow.set_registry_uri(settings.tracking_uri)
        existing = mlflow.get_experiment_by_name(experiment)
        experiment_id = (
            existing.experiment_id
            if existing
            else mlflow.create_experiment(experiment, artifact_location=_artifact_location(settings.bucket))
        )
        with mlflow.start_run(experiment_id=experiment_id) as run:
            yield run.info.run_id


def log_scikit_learn(
    pipeline: Pipeline,
    signature: ModelSignature,
    example: pd.DataFrame,
    target: PredictionTarget,
    method: str = "predict",
) -> None:
    """Logs a fitted pipeline in the skops format, which runs no code when loaded.

    Args:
        method: the method of the pipeline that MLflow's own server calls.
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


def log_onnx(graph: onnx.ModelProto, inputs: Schema, example: pd.DataFrame, target: PredictionTarget) -> str:
    """Logs the model that is served; returns its MLflow URI.

    Args:
        inputs: named columns, either one matrix for all of them or one graph input for each.
        example: rows of these columns; whoever loads the model predicts them as a self-test.
        target: name, unit and limits of the predictions, which the functions and the batch job use.
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


def register(model_uri: str, name: str, tags: dict[str, str]) -> int:
    """Registers a logged model as a new version of `name`; returns the version number."""
    return int(mlflow.register_model(model_uri, name, tags=tags).version)


def _artifact_location(bucket: str) -> str:
    if bucket.startswith("gs://"):
        return f"{bucket}/mlflow"
    return (Path(bucket).absolute() / "mlflow").as_uri()


def _pinned(*packages: str) -> list[str]:
    return [f"{package}=={version(package)}" for package in packages]


def _silence_mlflow() -> None:
    """Silences MLflow's own log output."""
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"mlflow\..*")
