"""What the training of a model left in MLflow, for those who ask later whether it still fits."""

import tempfile
from math import nan
from pathlib import Path
from typing import NamedTuple

import msgspec

from functions.releases import Release
from jobs.monitoring.thresholds import UNKNOWN, Usual
from jobs.settings import Settings

CLEANING = "cleaning.json"
"""Artifact of a training run: which places were read, and what was kept of them."""


class Training(NamedTuple):
    """What is known of how a model was trained; nothing, if another program did it."""

    places: tuple[str, ...] = ()
    """Of the trips that it learned from, as they were named then."""
    held_out: Usual = UNKNOWN
    """Its errors on rides that were held out."""


def training_of(release: Release, settings: Settings) -> Training:
    """How a released model was trained.

    Raises:
        TrackingFailed: the tracking server does not answer.
    """
    if not release.run_id:
        return Training()
    # It takes seconds to import: a report without a tracking server does without.
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    from jobs.registry.tracking_server import reachable

    with reachable(settings):
        try:
            run = MlflowClient(settings.tracking_uri).get_run(release.run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return Training()  # it was trained elsewhere
            raise
        with tempfile.TemporaryDirectory() as folder:
            try:
                file = mlflow.artifacts.download_artifacts(
                    f"runs:/{release.run_id}/{CLEANING}", dst_path=folder, tracking_uri=settings.tracking_uri
                )
                cleaning = msgspec.json.decode(Path(file).read_bytes())
            except (MlflowException, OSError):  # whichever store it is asked of
                cleaning = {}
    metrics = run.data.metrics
    held_out = Usual(metrics.get("rmse", nan), metrics.get("bias", nan))
    return Training(tuple(cleaning.get("trips", {}).get("places", ())), held_out)
