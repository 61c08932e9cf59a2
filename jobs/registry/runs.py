"""Training runs in MLflow: logging models and registering them as versions."""

import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import mlflow.onnx
import mlflow.sklearn
import msgspec
import onnx
import pandas as pd
import skops.io
from mlflow.entities import Dataset, DatasetInput, InputTag, RunInfo
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, DataType, Schema
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
from sklearn.pipeline import Pipeline

from functions import __version__
from functions.mlmodel import PredictionTarget
from jobs.registry.model_versions import SCIKIT_LEARN
from jobs.registry.reachability import require_reachable
from jobs.registry.tracking_server import connect
from jobs.settings import Settings

ONNX = "onnx"
DESCRIPTION = "mlflow.note.content"
"""The tag that MLflow's UI shows as an experiment's description."""
MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""The tag with which MLflow's UI shows an experiment's runs, and not the pages for language models."""
MAX_PARAMETER_LENGTH = 500
"""Characters that every version of MLflow accepts."""
DIGEST_LENGTH = 8
"""Characters of a dataset's digest, as in MLflow's own."""


@dataclass(frozen=True)
class Experiment:
    """An experiment, which is created by its first run."""

    name: str
    description: str
    """Markdown, shown above its runs; people may change it in MLflow's UI."""


@dataclass(frozen=True)
class TripsFile:
    """A file of trips that a run has read."""

    uri: str
    """Without a user name, password or query."""
    name: str
    """`green 2021-01`."""
    rows: int
    digest: str
    """SHA-256 of the rows, in hexadecimal."""


@contextmanager
def tracked_run(
    settings: Settings, experiment: Experiment, name: str, description: str = ""
) -> Iterator[RunInfo]:
    """Starts an MLflow run that ends with the body; yields its ids.

    A new experiment stores its artifacts in the model bucket.

    Args:
        name: of the run, for people.
        description: Markdown, shown on the run's page.

    Raises:
        TrackingFailed: the tracking server or the bucket failed, here or in the body.
        UnreachableArtifacts: the experiment stores its artifacts where the bucket's readers cannot read them.
    """
    _silence_mlflow()
    with connect(settings):
        mlflow.set_tracking_uri(settings.tracking_uri)
        mlflow.set_registry_uri(settings.tracking_uri)
        existing = mlflow.get_experiment_by_name(experiment.name)
        if existing:
            remedy = (
                f"rename the experiment {experiment.name} in MLflow, so that the next run makes a new one"
            )
            require_reachable(existing.artifact_location, settings.bucket, remedy)
        experiment_id = (
            existing.experiment_id
            if existing
            else mlflow.create_experiment(
                experiment.name,
                artifact_location=_artifact_location(settings.bucket),
                tags={DESCRIPTION: experiment.description, **MODEL_TRAINING},
            )
        )
        with mlflow.start_run(
            experiment_id=experiment_id,
            run_name=name,
            description=description or None,
            tags={"ridecast.version": __version__},
        ) as run:
            yield run.info


def log_parameters(parameters: Mapping[str, object]) -> None:
    """Logs parameters to the current run; long values are cut, which no server refuses."""
    mlflow.log_params({name: str(value)[:MAX_PARAMETER_LENGTH] for name, value in parameters.items()})


def log_datasets(run_id: str, files: Mapping[str, Sequence[TripsFile]]) -> None:
    """Names the files that a run has read as MLflow datasets; their rows are not copied.

    Args:
        files: by what they were used for, `training` or `evaluation`.
    """
    datasets = [
        DatasetInput(_dataset(file), [InputTag(MLFLOW_DATASET_CONTEXT, context)])
        for context, each in files.items()
        for file in each
    ]
    MlflowClient().log_inputs(run_id, datasets)


def _dataset(file: TripsFile) -> Dataset:
    # The forms in which MLflow's own dataset sources write themselves.
    scheme = urlsplit(file.uri).scheme
    kind, source = ("http", {"url": file.uri}) if scheme in {"http", "https"} else (scheme, {"uri": file.uri})
    return Dataset(
        name=file.name,
        digest=file.digest[:DIGEST_LENGTH],
        source_type=kind or "local",
        source=json.dumps(source),
        profile=json.dumps({"num_rows": file.rows}),
    )


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


def register(
    model_uri: str, name: str, tags: dict[str, str], description: str = "", model_description: str = ""
) -> int:
    """Registers a logged model as a new version of `name`; returns the version number.

    Args:
        description: of the version, in Markdown.
        model_description: of all versions; one that people have written in MLflow's UI stays.
    """
    version = mlflow.register_model(model_uri, name, tags=tags).version
    client = MlflowClient()
    if description:
        client.update_model_version(name, version, description)
    if model_description and not client.get_registered_model(name).description:
        client.update_registered_model(name, model_description)
    return int(version)


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
