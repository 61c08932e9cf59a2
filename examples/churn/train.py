"""Learns who leaves, from customers of whom it is known; registers the model as `churn`.

.venv/bin/python -m examples.churn.train --customers customers_2026-08.parquet
"""

import click
import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline

from examples.churn.model import COLUMNS, TARGET, export, model_frame, new_pipeline
from functions.errors import RidecastError
from functions.model import load_table_model
from functions.releases import Release
from jobs.registry.model_versions import Registry
from jobs.registry.release_pointer import point_at
from jobs.registry.runs import log_onnx, log_scikit_learn, register, tracked_run
from jobs.settings import ALIAS, HELD_OUT_SHARE, Settings
from jobs.storage.files import FileAccessError, reading, trouble_with

NAME = "churn"
"""Of the experiment and of the registered model."""
KNOWN = "churned"
"""The column that says who left."""
EXAMPLE_ROWS = 5
FEWEST = 100
"""Of those who left, and of those who stayed; fewer teach nothing."""
LARGEST_DIFFERENCE = 1e-5
"""Between the probabilities of ONNX and of scikit-learn."""


class TooFewCustomers(RidecastError):
    """There is not enough to learn from or to judge on."""


class DifferentModels(RidecastError):
    """The model that was registered does not say what the pipeline says."""


@click.command()
@click.option("--customers", metavar="PLACE", required=True, help="Parquet with `churned`: a path or gs://….")
@click.option("--strength", default=1.0, show_default=True, help="Of the coefficients: scikit-learn's C.")
def command(customers: str, strength: float) -> None:
    """Train, register, and make the version the champion that `python -m jobs score` uses."""
    settings = Settings.read()
    try:
        release, metrics = train(settings, read_customers(customers), strength)
    except RidecastError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"AUC {metrics['auc']:.3f}, log loss {metrics['log_loss']:.3f} on the customers held out")
    click.echo(f"{NAME} version {release.version} is the {ALIAS}; its release is {settings.pointer(NAME)}")


def read_customers(place: str) -> pd.DataFrame:
    """A table with all columns that are learnt from.

    Raises:
        FileAccessError: it cannot be read, or lacks a column.
    """
    with reading(place) as file, trouble_with(place):
        customers = pd.read_parquet(file)
    if missing := [name for name in (*COLUMNS, KNOWN) if name not in customers]:
        raise FileAccessError(
            f"{place} has no column {', '.join(missing)}: write it with "
            "`python -m examples.churn.customers --outcome`"
        )
    return customers


def train(settings: Settings, customers: pd.DataFrame, strength: float) -> tuple[Release, dict[str, float]]:
    """Fit, judge on the last fifth, log, register; champion if it says the same as it is served.

    Raises:
        TooFewCustomers: fewer than `FEWEST` left, or stayed.
        DifferentModels: it does not; the version that was registered is left without the alias.
        TrackingFailed: MLflow or the bucket refuses.
    """
    frame = model_frame(customers)
    left = customers.loc[frame.index, KNOWN].to_numpy(np.bool_)
    if min(left.sum(), (~left).sum()) < FEWEST:
        raise TooFewCustomers(
            f"{left.sum():,} customers left and {(~left).sum():,} stayed, {FEWEST:,} of each are needed: "
            "give a larger table"
        )
    last = int(len(frame) * HELD_OUT_SHARE)
    pipeline = new_pipeline(strength)
    with tracked_run(settings, NAME):
        mlflow.log_params({"strength": strength, "customers": len(customers), "held_out": last})
        pipeline.fit(frame[:-last], left[:-last])
        held_out = pipeline.predict_proba(frame[-last:])[:, 1]
        metrics = {
            "auc": float(roc_auc_score(left[-last:], held_out)),
            "log_loss": float(log_loss(left[-last:], held_out)),
        }
        mlflow.log_metrics(metrics)
        model = _log_models(pipeline, frame.head(EXAMPLE_ROWS))
        version = register(model, NAME, {name: f"{number:.4f}" for name, number in metrics.items()})
        registry = Registry(settings.tracking_uri, NAME)
        release = registry.release(version)
        _compare(release, frame[-last:], held_out)
        registry.crown(release, ALIAS, {})
        point_at(settings.pointer(NAME), release)
    return release, metrics


def _log_models(pipeline: Pipeline, example: pd.DataFrame) -> str:
    inputs = Schema([ColSpec(kind, name) for name, kind in COLUMNS.items()])
    both = Schema([TensorSpec(np.dtype(np.float64), (-1, 2))])
    log_scikit_learn(pipeline, ModelSignature(inputs, both), example, TARGET, "predict_proba")
    return log_onnx(export(pipeline), inputs, example, TARGET)


def _compare(
    release: Release, frame: pd.DataFrame, expected: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> None:
    columns = {name: frame[name].to_numpy() for name in COLUMNS}
    difference = np.abs(load_table_model(release).predict_table(columns, len(frame)) - expected).max()
    mlflow.log_metric("onnx_max_difference", float(difference))
    if not difference < LARGEST_DIFFERENCE:
        raise DifferentModels(
            f"{NAME} version {release.version} differs from its pipeline by up to {difference:.6f}, where "
            f"less than {LARGEST_DIFFERENCE:g} is asked: it is registered, but not the {ALIAS}"
        )


if __name__ == "__main__":
    command()
