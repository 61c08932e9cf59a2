"""Reads from MLflow how a model was trained: on which trips, and how well it did on held-out rides."""

import tempfile
from math import nan
from pathlib import Path
from typing import NamedTuple

import msgspec

from functions.releases import Release
from jobs.monitoring.thresholds import NO_BASELINE, Baseline
from jobs.settings import Settings

CLEANING = "cleaning.json"
"""Artifact of a training run that names the trips it read."""


class _Read(msgspec.Struct):
    places: tuple[str, ...] = ()


class _Cleaning(msgspec.Struct):
    trips: _Read = msgspec.field(default_factory=_Read)


class TrainingRun(NamedTuple):
    """What is known of a model's training; the defaults if another program trained it."""

    trips: tuple[str, ...] = ()
    """URIs of the trips, as they were given to the training."""
    held_out: Baseline = NO_BASELINE
    """Errors on held-out rides."""


def read_training_run(release: Release, settings: Settings) -> TrainingRun:
    """How a released model was trained; raises TrackingFailed if the tracking server does not answer."""
    if not release.run_id:
        return TrainingRun()
    # MLflow takes seconds to import; a report without a tracking server does not need it.
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    from jobs.registry.tracking_server import connect

    with connect(settings):
        try:
            run = MlflowClient(settings.tracking_uri).get_run(release.run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return TrainingRun()  # trained with another tracking server
            raise
        with tempfile.TemporaryDirectory() as folder:
            try:
                file = mlflow.artifacts.download_artifacts(
                    f"runs:/{release.run_id}/{CLEANING}", dst_path=folder, tracking_uri=settings.tracking_uri
                )
                cleaning = msgspec.json.decode(Path(file).read_bytes(), type=_Cleaning)
            # No such file, which error depends on the artifact store; or one of another program.
            except (MlflowException, OSError, msgspec.DecodeError):
                cleaning = _Cleaning()
    metrics = run.data.metrics
    held_out = Baseline(metrics.get("rmse", nan), metrics.get("bias", nan))
    return TrainingRun(cleaning.trips.places, held_out)
