"""What the training of a model left in MLflow, for those who ask later whether it still fits."""

from math import nan
from typing import NamedTuple

from functions.releases import Release
from jobs.monitoring.limits import UNKNOWN, Usual
from jobs.settings import Settings


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

    from jobs.reachable import reachable

    with reachable(settings):
        try:
            run = MlflowClient(settings.tracking_uri).get_run(release.run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return Training()
            raise
        try:
            cleaning = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/cleaning.json")
        except (MlflowException, OSError):  # whichever store it is asked of
            cleaning = {}
    metrics = run.data.metrics
    held_out = Usual(metrics.get("rmse", nan), metrics.get("bias", nan))
    return Training(tuple(cleaning.get("trips", {}).get("places", ())), held_out)
