"""python -m jobs train: months of trips become a registered model."""

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
from jobs.metrics import Errors
from jobs.registry.runs import register, tracked_run
from jobs.settings import HELD_OUT_SHARE, Settings
from jobs.training.evaluation import Evaluation, importance
from jobs.training.onnx_export import check, export, predictor
from jobs.training.pipeline import (
    Parameters,
    feature_frame,
    fit_pipeline,
    new_pipeline,
    one_core_less,
)
from jobs.training.run_artifacts import EXPERIMENT, log_evaluation, log_models
from jobs.trips.cleaning import clean_trips, read_trips
from jobs.trips.records import columns_of, without_pickup_time
from jobs.ui.progress import watching

FEWEST_RIDES = 1_000
"""Fewer teach nothing about 265 zones."""
EXAMPLE_RIDES = 3
VERSION_TAGS = ("rmse", "rmse_without_pickup_time", "mae", "p90")
"""Shown beside a version in MLflow's registry."""


class TooFewRides(RidecastError):
    """What is left of the trips after cleaning is not enough to learn from or to judge on."""


@dataclass(frozen=True)
class Months:
    """Clean rides to learn from, and others to judge on."""

    training: pd.DataFrame
    held_out: pd.DataFrame
    cleaning: dict[str, dict[str, Any]]
    """What was read, kept, dropped and mended, for `trips` and for `validate`."""


@dataclass(frozen=True)
class Trained:
    """What a training brought."""

    run_id: str
    version: int
    metrics: dict[str, float]


def read_months(trips: Sequence[str], validate: Sequence[str], console: Console) -> Months:
    """The rides to learn from and those to judge on, clean; says what was dropped and mended.

    Args:
        validate: may be empty; then the last fifth of the rides is held out, by pick-up time.

    Raises:
        RidecastError: a place cannot be read, or too few rides are left.
    """
    training, cleaning = _read_clean(trips, console)
    if validate:
        held_out, its_cleaning = _read_clean(validate, console)
        return Months(training, held_out, {"trips": cleaning, "validate": its_cleaning})
    ordered = training.sort_values("pickup_datetime", kind="stable")
    last = int(len(ordered) * HELD_OUT_SHARE)
    console.print(f"held out: the last {last:,} rides")
    return Months(ordered.iloc[:-last], ordered.iloc[-last:], {"trips": cleaning})


def train(settings: Settings, months: Months, name: str, parameters: Parameters, console: Console) -> Trained:
    """Fit, compare ONNX with scikit-learn, judge, log, register.

    Raises:
        DifferentModels: the two differ; the run is marked as failed and nothing is registered.
        TrackingFailed: MLflow or the bucket refuses.
    """
    pipeline = new_pipeline(parameters)
    with one_core_less(), tracked_run(settings, EXPERIMENT) as run_id:
        _log_inputs(parameters, months)
        began = time.monotonic()
        with watching(pipeline.named_steps["trees"], console):
            fit_pipeline(pipeline, months.training, parameters.half_life)
        seconds = time.monotonic() - began
        console.print(f"trained on {len(months.training):,} rides in {seconds:.1f} s")

        graph = export(pipeline)
        predict = predictor(graph)
        difference = check(predict, pipeline, columns_of(months.held_out))
        mlflow.log_metrics({"fit_seconds": seconds, "onnx_max_difference": difference})

        evaluation = Evaluation.of(predict, months.held_out)
        log_evaluation(evaluation, importance(pipeline, months.held_out))
        metrics = evaluation.metrics()
        model = log_models(pipeline, graph, _example(months.held_out))
        version = register(model, name, {metric: f"{metrics[metric]:.4f}" for metric in VERSION_TAGS})
    _print(evaluation, difference, console)
    console.print(f"registered {name} version {version}, run {run_id}")
    return Trained(run_id, version, metrics)


def _read_clean(places: Sequence[str], console: Console) -> tuple[pd.DataFrame, dict[str, Any]]:
    read = read_trips(places)
    clean = clean_trips(read)
    console.print(f"read {len(read):,} trips from {', '.join(places)}; {len(clean.trips):,} kept")
    for rule, count in (clean.dropped | clean.mended).items():
        if count:
            console.print(f"  {count:>7,} {rule}")
    if len(clean.trips) < FEWEST_RIDES:
        raise TooFewRides(
            f"{len(clean.trips):,} rides of {', '.join(places)} can be used, {FEWEST_RIDES:,} are needed: "
            "name more or larger months"
        )
    counts = {"read": len(read), "kept": len(clean.trips)}
    return clean.trips, {"places": list(places), **counts, "dropped": clean.dropped, "mended": clean.mended}


def _log_inputs(parameters: Parameters, months: Months) -> None:
    mlflow.log_params(asdict(parameters))
    mlflow.log_params(
        {
            "training_digest": _digest(months.training),
            "held_out_digest": _digest(months.held_out),
            "scikit_learn": sklearn.__version__,
        }
    )
    mlflow.log_metrics({"rides_training": len(months.training), "rides_held_out": len(months.held_out)})
    mlflow.log_dict(months.cleaning, "cleaning.json")


def _digest(trips: pd.DataFrame) -> str:
    """SHA-256 of the rides' values, in their order, whatever file they came in."""
    hashes = pd.util.hash_pandas_object(trips, index=False).to_numpy()
    return hashlib.sha256(hashes.tobytes()).hexdigest()


def _example(trips: pd.DataFrame) -> pd.DataFrame:
    rides = columns_of(trips.head(EXAMPLE_RIDES))
    return pd.concat([feature_frame(rides), feature_frame(without_pickup_time(rides))], ignore_index=True)


def _print(evaluation: Evaluation, difference: float, console: Console) -> None:
    table = Table(
        "", "RMSE", "MAE", "90% within", title="minutes off on the held-out rides", title_justify="left"
    )
    for seen, predicted in (("with", evaluation.timed), ("without", evaluation.untimed)):
        errors = Errors.of(predicted, evaluation.actual)
        figures = (f"{value:.3f}" for value in (errors.rmse, errors.mae, errors.p90))
        table.add_row(f"{seen} pick-up time", *figures)
    console.print(table)
    console.print(f"ONNX and scikit-learn differ by {difference:.6f} minutes at most")
