"""What a training of rides leaves in its MLflow run: figures, pictures, the rides, and the model twice."""

import tempfile
from pathlib import Path

import mlflow
import onnx
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from sklearn.pipeline import Pipeline

from functions.mlmodel import Target
from jobs.registry.model_versions import HELD_OUT
from jobs.registry.runs import log_onnx, log_scikit_learn
from jobs.training import plots
from jobs.training.evaluation import Evaluation
from jobs.training.onnx_export import LARGEST_MINUTES, TARGET
from jobs.training.pipeline import COLUMNS

EXPERIMENT = "ride-duration"
MINUTES = Target(TARGET, "minutes", 0.0, LARGEST_MINUTES)


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
    minutes = Schema([ColSpec(DataType.double)])
    log_scikit_learn(pipeline, ModelSignature(inputs, minutes), example, MINUTES)
    return log_onnx(graph, inputs, example, MINUTES)


def _log_held_out(trips: pd.DataFrame) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / HELD_OUT
        trips.to_parquet(file, index=False)
        mlflow.log_artifact(str(file))
