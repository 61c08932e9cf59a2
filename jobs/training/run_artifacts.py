"""Logs a training to its MLflow run: metrics, plots, the held-out rides, and both formats of the model."""

import tempfile
from pathlib import Path

import mlflow
import onnx
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from sklearn.pipeline import Pipeline

from functions.mlmodel import PredictionTarget
from jobs.registry.model_versions import HELD_OUT
from jobs.registry.runs import Experiment, log_onnx, log_scikit_learn
from jobs.training import plots
from jobs.training.evaluation import Evaluation
from jobs.training.onnx_export import MAX_PREDICTED_MINUTES, TARGET
from jobs.training.pipeline import COLUMNS

EXPERIMENT = Experiment(
    "ride-duration",
    "Trainings of the model of ride durations, by `python -m jobs train` and by the retraining flow. Each "
    "run is named after the months it was trained on. `rmse` is its error on held-out rides, in minutes; "
    "`promote` compares versions on the rides in `held_out.parquet`.",
)
MODEL_DESCRIPTION = (
    "The duration of a taxi ride in New York, in minutes, from its zones, distance and pick-up time. The "
    "alias `champion` is the version in service: `python -m jobs promote` moves it, and writes the release "
    "pointer that the functions follow."
)
MINUTES = PredictionTarget(TARGET, "minutes", 0.0, MAX_PREDICTED_MINUTES)


def log_evaluation(evaluation: Evaluation, importances: "pd.Series[float]") -> None:
    """Logs metrics, tables by borough and hour, plots, and the rides that `promote` compares versions on."""
    mlflow.log_metrics(evaluation.metrics())
    mlflow.log_text(evaluation.by_borough().to_csv(index_label="borough"), "errors_by_borough.csv")
    mlflow.log_text(evaluation.by_hour().to_csv(index_label="hour"), "errors_by_hour.csv")
    figures = {
        "predicted_against_actual": plots.predicted_against_actual(evaluation.predicted, evaluation.actual),
        "residuals": plots.residuals(evaluation.predicted, evaluation.actual),
        "error_by_hour": plots.error_by_hour(evaluation.by_hour()),
        "importance": plots.importances(importances),
    }
    for name, figure in figures.items():
        mlflow.log_figure(figure, f"plots/{name}.png")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / HELD_OUT
        evaluation.trips.to_parquet(path, index=False)
        mlflow.log_artifact(str(path))


def log_models(pipeline: Pipeline, graph: onnx.ModelProto, example: pd.DataFrame) -> str:
    """Logs the model in both formats; returns the MLflow URI of the ONNX one.

    Args:
        example: rows of `COLUMNS`, float32, some without a pick-up time.
    """
    inputs = Schema([ColSpec(DataType.float, name) for name in COLUMNS])
    minutes = Schema([ColSpec(DataType.double)])
    log_scikit_learn(pipeline, ModelSignature(inputs, minutes), example, MINUTES)
    return log_onnx(graph, inputs, example, MINUTES)
