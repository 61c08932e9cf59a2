"""Trains the churn model on customers with a known outcome and registers it as `churn`.

.venv/bin/python -m examples.churn.train --customers .cache/customers_2026-08.parquet
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
from jobs.commands.error_boundary import JobCommand
from jobs.registry.model_versions import ModelRegistry
from jobs.registry.release_pointer import artifact_server, write_pointer
from jobs.registry.runs import Experiment, log_onnx, log_scikit_learn, register, tracked_run
from jobs.settings import ALIAS, HELD_OUT_SHARE, Settings
from jobs.storage.errors import FileAccessError, translate_errors
from jobs.storage.files import open_read
from jobs.training.onnx_export import ParityError

NAME = "churn"
"""Name of the experiment and of the registered model."""
DESCRIPTION = "The probability that a customer leaves in the following month."
LABEL = "churned"
"""The column with the known outcome."""
EXAMPLE_ROWS = 5
MIN_CUSTOMERS = 100
"""Minimum number of customers who left, and of customers who stayed."""
MAX_DIFFERENCE = 1e-5
"""Between the probabilities of ONNX and scikit-learn."""


class TooFewCustomers(RidecastError):
    """There are too few customers to train or to evaluate on."""


@click.command(cls=JobCommand)
@click.option("--customers", metavar="URI", required=True, help="Parquet with `churned`: a path or gs://….")
@click.option("--strength", default=1.0, show_default=True, help="Inverse regularization, scikit-learn's C.")
def command(customers: str, strength: float) -> None:
    """Train a model, register it, and make it the champion that `python -m jobs score` uses."""
    settings = Settings.read()
    release, metrics = train(settings, read_customers(customers), strength)
    click.echo(f"AUC {metrics['auc']:.3f}, log loss {metrics['log_loss']:.3f} on the held-out customers")
    click.echo(f"{NAME} version {release.version} is the {ALIAS}; its release is {settings.pointer(NAME)}")


def read_customers(uri: str) -> pd.DataFrame:
    """Reads the customers to train on.

    Raises:
        FileAccessError: the file cannot be read, or lacks a column.
    """
    with open_read(uri) as file, translate_errors(uri):
        customers = pd.read_parquet(file)
    if missing := [name for name in (*COLUMNS, LABEL) if name not in customers]:
        raise FileAccessError(
            f"{uri} has no column {', '.join(missing)}: generate it with "
            "`python -m examples.churn.customers --outcome`"
        )
    return customers


def train(settings: Settings, customers: pd.DataFrame, strength: float) -> tuple[Release, dict[str, float]]:
    """Fits the model, evaluates it on the last fifth, logs and registers it, and makes it the champion.

    Raises:
        TooFewCustomers: fewer than `MIN_CUSTOMERS` left, or stayed.
        ParityError: the served model differs from the pipeline; the version does not become champion.
        TrackingFailed: MLflow or the bucket failed.
    """
    frame = model_frame(customers)
    left = customers.loc[frame.index, LABEL].to_numpy(np.bool_)
    if min(left.sum(), (~left).sum()) < MIN_CUSTOMERS:
        raise TooFewCustomers(
            f"{left.sum():,} customers left and {(~left).sum():,} stayed, but {MIN_CUSTOMERS:,} of each are "
            "needed: give a larger table"
        )
    held_out_rows = int(len(frame) * HELD_OUT_SHARE)
    pipeline = new_pipeline(strength)
    title = f"{len(customers):,} customers → {NAME}"
    with tracked_run(settings, Experiment(NAME, DESCRIPTION), title):
        mlflow.log_params({"strength": strength, "customers": len(customers), "held_out": held_out_rows})
        pipeline.fit(frame[:-held_out_rows], left[:-held_out_rows])
        probabilities = pipeline.predict_proba(frame[-held_out_rows:])[:, 1]
        metrics = {
            "auc": float(roc_auc_score(left[-held_out_rows:], probabilities)),
            "log_loss": float(log_loss(left[-held_out_rows:], probabilities)),
        }
        mlflow.log_metrics(metrics)
        model_uri = _log_models(pipeline, frame.head(EXAMPLE_ROWS))
        tags = {name: f"{number:.4f}" for name, number in metrics.items()}
        version = register(model_uri, NAME, tags, f"Trained on {len(customers):,} customers.", DESCRIPTION)
        registry = ModelRegistry(settings.tracking_uri, NAME)
        release = registry.release(version)
        _verify_parity(release, frame[-held_out_rows:], probabilities)
        registry.set_champion(release, ALIAS, {})
        write_pointer(settings.pointer(NAME), release)
    return release, metrics


def _log_models(pipeline: Pipeline, example: pd.DataFrame) -> str:
    inputs = Schema([ColSpec(kind, name) for name, kind in COLUMNS.items()])
    outputs = Schema([TensorSpec(np.dtype(np.float64), (-1, 2))])
    log_scikit_learn(pipeline, ModelSignature(inputs, outputs), example, TARGET, "predict_proba")
    return log_onnx(export(pipeline), inputs, example, TARGET)


def _verify_parity(
    release: Release, frame: pd.DataFrame, expected: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> None:
    columns = {name: frame[name].to_numpy() for name in COLUMNS}
    difference = np.abs(
        load_table_model(release, server=artifact_server(release)).predict_table(columns, len(frame))
        - expected
    ).max()
    mlflow.log_metric("onnx_max_difference", float(difference))
    if not difference < MAX_DIFFERENCE:
        raise ParityError(
            f"{NAME} version {release.version} differs from its pipeline by up to {difference:.6f}, but must "
            f"differ by less than {MAX_DIFFERENCE:g}: it is registered, but not the {ALIAS}"
        )


if __name__ == "__main__":
    command()
