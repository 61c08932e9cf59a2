"""A training in MLflow: its run, what is logged there, and the registered version."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import mlflow
import mlflow.onnx
import mlflow.sklearn
import onnx
import pandas as pd
import skops.io
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from sklearn.pipeline import Pipeline

from jobs import plots
from jobs.evaluate import Evaluation
from jobs.export import LARGEST_MINUTES, TARGET
from jobs.pipeline import COLUMNS
from jobs.reachable import reachable
from jobs.registered import HELD_OUT, SCIKIT_LEARN
from jobs.settings import Settings

EXPERIMENT = "ride-duration"
ONNX = "onnx"
METADATA = {"target": TARGET, "unit": "minutes", "minimum": 0.0, "maximum": LARGEST_MINUTES}
"""What the functions say and check about the model's numbers."""


@contextmanager
def tracked_run(settings: Settings, experiment: str = EXPERIMENT) -> Iterator[str]:
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


def log_evaluation(evaluation: Evaluation, importance: "pd.Series[float]") -> None:
    """Metrics, tables by borough and hour, pictures, and the rides, on which `promote` judges others too."""
    mlflow.log_metrics(evaluation.metrics())
    mlflow.log_text(evaluation.by_borough().to_csv(index_label="borough"), "errors_by_borough.csv")
    mlflow.log_text(evaluation.by_hour().to_csv(index_label="hour"), "errors_by_hour.csv")
    pictures = {
        "predicted_against_actual": plots.predicted_against_actual(evaluation.timed, evaluation.actual),
        "residuals": plots.residuals(evaluation.timed, evaluation.actual),
        "error_by_hour": plots.error_by_hour(evaluation.by_hour()),
        "importance": plots.importances(importance),
    }
    for name, picture in pictures.items():
        mlflow.log_figure(picture, f"plots/{name}.png")
    _log_held_out(evaluation.trips)


def log_models(pipeline: Pipeline, graph: onnx.ModelProto, example: pd.DataFrame) -> str:
    """The model in both formats: the address of the one in ONNX.

    Args:
        example: rows of `COLUMNS`, float32, some without a pick-up time.
    """
    inputs = Schema([ColSpec(DataType.float, name) for name in COLUMNS])
    mlflow.sklearn.log_model(
        pipeline,
        name=SCIKIT_LEARN,
        serialization_format="skops",
        skops_trusted_types=list(skops.io.get_untrusted_types(data=skops.io.dumps(pipeline))),
        signature=ModelSignature(inputs, Schema([ColSpec(DataType.double)])),
        input_example=example,
        metadata=METADATA,
        pip_requirements=_pinned("scikit-learn", "skops", "pandas"),
    )
    logged = mlflow.onnx.log_model(
        graph,
        name=ONNX,
        save_as_external_data=False,
        signature=ModelSignature(inputs, Schema([ColSpec(DataType.float, TARGET)])),
        input_example=example,
        metadata=METADATA,
        onnx_execution_providers=["CPUExecutionProvider"],
        pip_requirements=_pinned("onnx", "onnxruntime", "pandas"),
    )
    return str(logged.model_uri)


def register(model: str, name: str, tags: dict[str, str]) -> int:
    """The number of the new version of `name`."""
    return int(mlflow.register_model(model, name, tags=tags).version)


def _log_held_out(trips: pd.DataFrame) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / HELD_OUT
        trips.to_parquet(file, index=False)
        mlflow.log_artifact(str(file))


def _artifacts(bucket: str) -> str:
    if bucket.startswith("gs://"):
        return f"{bucket}/mlflow"
    return (Path(bucket).absolute() / "mlflow").as_uri()


def _pinned(*packages: str) -> list[str]:
    return [f"{package}=={version(package)}" for package in packages]


def _quieten() -> None:
    """What MLflow tells about itself is not what the one who trains wants to read."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"mlflow\..*")
