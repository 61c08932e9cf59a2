"""Trains a model on months of trips and registers it as a new version."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import mlflow
import pandas as pd
import sklearn
from rich.console import Console
from rich.table import Table

from functions.errors import RidecastError
from jobs.metrics import RegressionMetrics
from jobs.registry.runs import register, tracked_run
from jobs.settings import HELD_OUT_SHARE, Settings
from jobs.training.evaluation import Evaluation, permutation_importances
from jobs.training.onnx_export import export, onnx_predictor, verify_parity
from jobs.training.pipeline import Hyperparameters, feature_frame, fit_pipeline, limit_threads, new_pipeline
from jobs.training.run_artifacts import EXPERIMENT, log_evaluation, log_models
from jobs.trips.cleaning import clean_trips, read_trips
from jobs.trips.records import to_ride_columns, without_pickup_time
from jobs.ui.progress import training_progress

MIN_RIDES = 1_000
"""Fewer are too few to learn the 265 zones."""
EXAMPLE_RIDES = 3
VERSION_TAGS = ("rmse", "rmse_without_pickup_time", "mae", "p90")
"""Metrics that become tags of a version, shown in MLflow's registry."""


class TooFewRides(RidecastError):
    """After cleaning, too few trips are left to train or to evaluate on."""


@dataclass(frozen=True)
class TrainingData:
    """Clean rides to train on and to evaluate on."""

    training: pd.DataFrame
    held_out: pd.DataFrame
    cleaning: dict[str, dict[str, Any]]
    """Numbers of trips read, kept, dropped and repaired, for `trips` and for `validate`."""


@dataclass(frozen=True)
class TrainingResult:
    """The registered version, its run, and its metrics by their names in MLflow."""

    run_id: str
    version: int
    metrics: dict[str, float]


def load_training_data(trips: Sequence[str], validate: Sequence[str], console: Console) -> TrainingData:
    """Reads and cleans trips; prints how many were dropped and repaired.

    Args:
        trips: Parquet files to train on, see `read_trips`.
        validate: files to evaluate on; if empty, the last fifth of `trips` by pick-up time is held out.

    Raises:
        FileAccessError: a file cannot be read.
        TooFewRides: fewer than `MIN_RIDES` are left.
    """
    training, cleaning = _read_clean(trips, console)
    if validate:
        held_out, validate_cleaning = _read_clean(validate, console)
        return TrainingData(training, held_out, {"trips": cleaning, "validate": validate_cleaning})
    ordered = training.sort_values("pickup_datetime", kind="stable")
    last = int(len(ordered) * HELD_OUT_SHARE)
    console.print(f"held out: the last {last:,} rides")
    return TrainingData(ordered.iloc[:-last], ordered.iloc[-last:], {"trips": cleaning})


def train(
    settings: Settings, data: TrainingData, name: str, hyperparameters: Hyperparameters, console: Console
) -> TrainingResult:
    """Fits the model, verifies its ONNX export, evaluates, logs and registers it.

    Raises:
        ParityError: ONNX and scikit-learn differ; the run is marked as failed and nothing is registered.
        TrackingFailed: MLflow or the bucket failed.
    """
    pipeline = new_pipeline(hyperparameters)
    with limit_threads(), tracked_run(settings, EXPERIMENT) as run_id:
        _log_inputs(hyperparameters, data)
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
        version = register(model_uri, name, {metric: f"{metrics[metric]:.4f}" for metric in VERSION_TAGS})
    _print(evaluation, difference, console)
    console.print(f"registered {name} version {version}, run {run_id}")
    return TrainingResult(run_id, version, metrics)


def _read_clean(uris: Sequence[str], console: Console) -> tuple[pd.DataFrame, dict[str, Any]]:
    recorded = read_trips(uris)
    clean = clean_trips(recorded)
    console.print(f"read {len(recorded):,} trips from {', '.join(uris)}; {len(clean.trips):,} kept")
    for rule, count in (clean.dropped | clean.repaired).items():
        if count:
            console.print(f"  {count:>7,} {rule}")
    if len(clean.trips) < MIN_RIDES:
        raise TooFewRides(
            f"{len(clean.trips):,} rides of {', '.join(uris)} can be used, but {MIN_RIDES:,} are needed: "
            "give more or larger months"
        )
    counts = {"read": len(recorded), "kept": len(clean.trips)}
    return clean.trips, {"places": list(uris), **counts, "dropped": clean.dropped, "mended": clean.repaired}


def _log_inputs(hyperparameters: Hyperparameters, data: TrainingData) -> None:
    mlflow.log_params(asdict(hyperparameters))
    mlflow.log_params(
        {
            "training_digest": _digest(data.training),
            "held_out_digest": _digest(data.held_out),
            "scikit_learn": sklearn.__version__,
        }
    )
    mlflow.log_metrics({"rides_training": len(data.training), "rides_held_out": len(data.held_out)})
    mlflow.log_dict(data.cleaning, "cleaning.json")


def _digest(trips: pd.DataFrame) -> str:
    """SHA-256 of the rides' values in order, independent of the files they came from."""
    hashes = pd.util.hash_pandas_object(trips, index=False).to_numpy()
    return hashlib.sha256(hashes.tobytes()).hexdigest()


def _example(trips: pd.DataFrame) -> pd.DataFrame:
    rides = to_ride_columns(trips.head(EXAMPLE_RIDES))
    return pd.concat([feature_frame(rides), feature_frame(without_pickup_time(rides))], ignore_index=True)


def _print(evaluation: Evaluation, difference: float, console: Console) -> None:
    title = "errors on the held-out rides, in minutes"
    table = Table("", "RMSE", "MAE", "90% within", title=title, title_justify="left")
    for label, predicted in (
        ("with pick-up time", evaluation.predicted),
        ("without pick-up time", evaluation.predicted_without_pickup_time),
    ):
        errors = RegressionMetrics.compute(predicted, evaluation.actual)
        table.add_row(label, *(f"{value:.3f}" for value in (errors.rmse, errors.mae, errors.p90)))
    console.print(table)
    console.print(f"ONNX and scikit-learn differ by at most {difference:.6f} minutes")
