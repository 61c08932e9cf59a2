"""The flow that retrains on a month that has drifted, and promotes the new version.

Each task imports what it needs: training and MLflow take seconds, which serving the flows does not need.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed
from pydantic import NonNegativeInt, PositiveInt

from jobs.flows.prefect_artifacts import slug
from jobs.flows.run_console import run_log_console
from jobs.flows.scoring import MONTHS_BACK, TAXI, TRIPS, Taxi, month_of_run, title_of_run
from jobs.flows.tasks import JITTER, RETRY_DELAYS, is_retryable
from jobs.registry.ui_links import version_page
from jobs.settings import MODEL_NAME, Settings
from jobs.trips.months import format_uri, month_before
from jobs.ui.text import count

MONTHS = 2
"""The newest months to train on: older ones say less about the traffic and improve little."""


@dataclass(frozen=True)
class RetrainingResult:
    """The limits that a month exceeds, and the version that was trained because of them."""

    month: str
    """`green 2021-03`."""
    exceeded: tuple[str, ...]
    """The exceeded limits, such as `bias 5.82 minutes (limit 2.07)`."""
    version: int | None = None
    """The new champion; None if none was needed."""
    unchecked: str = ""
    """Why nothing could be checked; empty if something was."""

    def summary(self) -> str:
        """The result in one line."""
        if self.unchecked:
            drift = f": {self.unchecked}"
        elif self.exceeded:
            drift = f" exceeds {count(len(self.exceeded), 'limit')}: {'; '.join(self.exceeded)}"
        else:
            drift = " is within all limits"
        champion = f"version {self.version} is the champion" if self.version else "the champion stays"
        return f"{self.month}{drift} – {champion}"


def _retry_promotion(_task: object, _run: TaskRun, state: State[Any]) -> bool:
    """False if a gate rejected the version: the gates would reject it again."""
    from jobs.registry.promotion import PointerNotWritten
    from jobs.registry.tracking_server import TrackingFailed

    return isinstance(state.data, TrackingFailed | PointerNotWritten)


def _retry_report(task: object, run: TaskRun, state: State[Any]) -> bool:
    """False if there is nothing to compare: retrying cannot change that."""
    from jobs.monitoring.findings import CannotReport

    return is_retryable(task, run, state) and not isinstance(state.data, CannotReport)


@task(name="report", retry_condition_fn=_retry_report, retry_jitter_factor=JITTER, cache_policy=NO_CACHE)
def report_month(uri: str) -> tuple[tuple[str, ...], str]:
    """Compares a month with the months that the champion was trained on.

    Returns the limits that it exceeds, and why nothing could be checked, if so.
    """
    from jobs.monitoring.report import ReportRequest, make_report

    findings = make_report(ReportRequest(trips=(uri,)), run_log_console())
    exceeded = tuple(str(replace(check, detail="")) for check in findings.failed_checks)
    return exceeded, "" if findings.checks else findings.verdict


@task(name="train", retry_condition_fn=is_retryable, retry_jitter_factor=JITTER, cache_policy=NO_CACHE)
def train_version(uris: Sequence[str]) -> int:
    """Trains on months, with the last fifth of the rides held out; returns the new version's number."""
    from jobs.training.data import load_training_data
    from jobs.training.hyperparameters import Hyperparameters
    from jobs.training.train import train

    console = run_log_console()
    months = load_training_data(uris, (), console)
    return train(Settings.read(), months, MODEL_NAME, Hyperparameters(), console).version


@task(name="promote", retry_condition_fn=_retry_promotion, retry_jitter_factor=JITTER, cache_policy=NO_CACHE)
def promote_version(version: int) -> None:
    """Makes a version the champion if it passes the gates."""
    from jobs.registry.promotion import Candidate, promote
    from jobs.registry.tracking_server import connect

    settings = Settings.read()
    with connect(settings):
        promote(settings, MODEL_NAME, Candidate(version), run_log_console())


@flow(flow_run_name=title_of_run)
def ride_duration_retraining(  # noqa: PLR0913  # each is an option of a run
    taxi_type: Taxi = TAXI,
    run_date: date | None = None,
    *,
    trips: str = TRIPS,
    months: PositiveInt = MONTHS,
    months_back: NonNegativeInt = MONTHS_BACK,
    always: bool = False,
    retry_delays: Sequence[float] = RETRY_DELAYS,
) -> RetrainingResult:
    """Reports on the month before the run date's month; if it exceeds a limit, trains and promotes.

    The functions load the new champion when they next check the release pointer.

    Args:
        run_date: by default the day for which the run was scheduled, in New York time.
        trips: a path, gs://… or https://…, with the placeholders {taxi_type}, {year:04d} and {month:02d}.
        months: how many months to train on; the reported month is the last of them.
        months_back: how many months before; use 3 for TLC's trips, which are published two months late.
        always: also trains if no limit is exceeded.
        retry_delays: seconds before each retry.

    Raises:
        PromotionRejected: the month has drifted, but the gates reject the new version: a person must decide.
        RidecastError: a month, MLflow or the bucket cannot be used, even after the last retry.
    """
    newest = month_of_run(run_date, months_back)
    title = f"{taxi_type} {newest:%Y-%m}"
    uris = [format_uri(trips, month_before(newest, back), taxi_type) for back in reversed(range(months))]
    retries: dict[str, Any] = {"retries": len(retry_delays), "retry_delay_seconds": list(retry_delays)}

    exceeded, unchecked = report_month.with_options(**retries)(uris[-1])
    if not exceeded and not always:
        result = RetrainingResult(title, exceeded, unchecked=unchecked)
        return Completed(name="Not needed", message=result.summary(), data=result)  # type: ignore[return-value]
    version = train_version.with_options(**retries)(uris)
    promote_version.with_options(**retries)(version)
    result = RetrainingResult(title, exceeded, version, unchecked)
    page = version_page(Settings.read().tracking_uri, MODEL_NAME, version)
    markdown = f"{result.summary()}\n\n[version {version} in MLflow]({page})" if page else result.summary()
    create_markdown_artifact(markdown, slug(f"retraining {taxi_type}"), result.summary())
    return Completed(message=result.summary(), data=result)  # type: ignore[return-value]
