"""Trains a model on months of trips and registers it as a new version."""

import time
from dataclasses import asdict, dataclass

import mlflow
import pandas as pd
import sklearn
from rich.console import Console
from rich.table import Table

from jobs.metrics import RegressionMetrics
from jobs.registry.reachability import describe_location
from jobs.registry.runs import log_datasets, log_parameters, register, tracked_run
from jobs.registry.ui_links import run_page, version_page
from jobs.settings import Settings
from jobs.training.data import TrainingData, digest
from jobs.training.evaluation import Evaluation, permutation_importances
from jobs.training.hyperparameters import Hyperparameters
from jobs.training.onnx_export import export, onnx_predictor, verify_parity
from jobs.training.pipeline import feature_frame, fit_pipeline, limit_threads, new_pipeline
from jobs.training.run_artifacts import EXPERIMENT, MODEL_DESCRIPTION, log_evaluation, log_models
from jobs.trips.records import to_ride_columns, without_pickup_time
from jobs.ui.progress import training_progress
from jobs.ui.text import count

EXAMPLE_RIDES = 3
VERSION_TAGS = ("rmse", "rmse_without_pickup_time", "mae", "p90")
"""Metrics that become tags of a version, shown in MLflow's registry."""


@dataclass(frozen=True)
class TrainingResult:
    """The registered version, its run, and its metrics by their names in MLflow."""

    run_id: str
    version: int
    metrics: dict[str, float]


def train(
    settings: Settings, data: TrainingData, name: str, hyperparameters: Hyperparameters, console: Console
) -> TrainingResult:
    """Fits the model, verifies its ONNX export, evaluates, logs and registers it.

    Raises:
        ParityError: ONNX and scikit-learn differ; the run is marked as failed and nothing is registered.
        TrackingFailed: MLflow or the bucket failed.
    """
    pipeline = new_pipeline(hyperparameters)
    title = f"{data.trained_on} → {name}"
    description = f"Trained on {data.trained_on}, evaluated on {data.evaluated_on}."
    with limit_threads(), tracked_run(settings, EXPERIMENT, title, description) as run:
        where = describe_location(run.artifact_uri, settings.bucket)
        console.print(f"artifacts go to {where}", markup=False)
        _log_inputs(hyperparameters, data)
        log_datasets(run.run_id, data.files)
        start = time.monotonic()
        with training_progress(pipeline.named_steps["trees"], console):
            fit_pipeline(pipeline, data.training, hyperparameters.half_life)
        seconds = time.monotonic() - start
        console.print(f"trained on {len(data.training):,} rides in {seconds:.1f} s")

        graph = export(pipeline)
        predict = onnx_predictor(graph)
        difference = verify_parity(predict, pipeline, to_ride_columns(data.held_out))
        mlflow.log_metrics({"fit_seconds": seconds, "onnx_max_difference": difference})

        evaluation = Evaluation.compute(predict, data.held_out)
        log_evaluation(evaluation, permutation_importances(pipeline, data.held_out))
        metrics = evaluation.metrics()
        model_uri = log_models(pipeline, graph, _example(data.held_out))
        tags = {metric: f"{metrics[metric]:.4f}" for metric in VERSION_TAGS}
        tags |= {"trained_on": data.trained_on, "evaluated_on": data.evaluated_on}
        errors = f"RMSE {metrics['rmse']:.3f} minutes on {count(len(data.held_out), 'held-out ride')}."
        version = register(model_uri, name, tags, f"{description} {errors}", MODEL_DESCRIPTION)
    _print(evaluation, difference, console)
    console.print(f"registered {name} version {version}, run {run.run_id}")
    pages = (
        version_page(settings.tracking_uri, name, version),
        run_page(settings.tracking_uri, run.experiment_id, run.run_id),
    )
    for page in filter(None, pages):
        console.print(f"  {page}", markup=False)
    return TrainingResult(run.run_id, version, metrics)


def _log_inputs(hyperparameters: Hyperparameters, data: TrainingData) -> None:
    log_parameters(asdict(hyperparameters))
    log_parameters(
        {
            "trained_on": data.trained_on,
            "evaluated_on": data.evaluated_on,
            "training_digest": digest(data.training),
            "held_out_digest": digest(data.held_out),
            "scikit_learn": sklearn.__version__,
        }
    )
    mlflow.log_metrics({"rides_training": len(data.training), "rides_held_out": len(data.held_out)})
    mlflow.log_dict(data.cleaning, "cleaning.json")


def _example(trips: pd.DataFrame) -> pd.DataFrame:
    rides = to_ride_columns(trips.head(EXAMPLE_RIDES))
    return pd.concat([feature_frame(rides), feature_frame(without_pickup_time(rides))], ignore_index=True)


def _print(evaluation: Evaluation, difference: float, console: Console) -> None:
    title = "errors on the held-out rides, in minutes"
    table = Table("held-out rides", "RMSE", "MAE", "90% within", title=title, title_justify="left")
    for label, predicted in (
        ("with pick-up time", evaluation.predicted),
        ("without pick-up time", evaluation.predicted_without_pickup_time),
    ):
        errors = RegressionMetrics.compute(predicted, evaluation.actual)
        table.add_row(label, *(f"{value:.3f}" for value in (errors.rmse, errors.mae, errors.p90)))
    console.print(table)
    console.print(f"ONNX and scikit-learn differ by at most {difference:.6f} minutes")
