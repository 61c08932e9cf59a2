"""The flow that closes the circle: a month that has drifted is learned, and the functions follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import NonNegativeInt, PositiveInt

from functions.rides import NEW_YORK
from jobs.flows.artifacts import slug
from jobs.flows.run_console import logged_console
from jobs.flows.scoring import TRIPS, Taxi
from jobs.flows.tasks import JITTER, RETRY_DELAYS, worth_another_try
from jobs.settings import MODEL_NAME, Settings
from jobs.trips.months import fill_in, month_before

# Training and MLflow take seconds to import, and who serves flows does without: each task imports its own.
if TYPE_CHECKING:
    from jobs.monitoring.findings import Findings

MONTHS = 2
"""To learn from, the newest: what is older tells less of the traffic, and counts for little."""


@dataclass(frozen=True)
class Retraining:
    """What came of a month."""

    month: str
    """`green 2021-03`."""
    exceeded: tuple[str, ...]
    """The limits that it passed, in words."""
    version: int | None = None
    """The new champion; None where none was needed."""

    def line(self) -> str:
        """In a sentence."""
        drift = f"{self.month} passes {'; '.join(self.exceeded) or 'no limit'}"
        return (
            f"{drift}: {f'version {self.version} is the champion' if self.version else 'the champion stays'}"
        )


def _worth_another_promotion(_task: object, _run: TaskRun, state: State[Any]) -> bool:
    """Closed gates stay closed."""
    from jobs.registry.promotion import HalfPromoted
    from jobs.registry.tracking_server import TrackingFailed

    return isinstance(state.data, TrackingFailed | HalfPromoted)


def _worth_another_report(task: object, run: TaskRun, state: State[Any]) -> bool:
    """What cannot be compared now cannot be later."""
    from jobs.monitoring.findings import CannotReport

    return worth_another_try(task, run, state) and not isinstance(state.data, CannotReport)


@task(
    name="report", retry_condition_fn=_worth_another_report, retry_jitter_factor=JITTER, cache_policy=NO_CACHE
)
def report_month(place: str) -> "Findings":
    """Compares a month with those that the champion learned from."""
    from jobs.monitoring.report import Wish, make_report

    return make_report(Wish(trips=(place,)), logged_console())


@task(name="train", retry_condition_fn=worth_another_try, retry_jitter_factor=JITTER, cache_policy=NO_CACHE)
def train_version(places: Sequence[str]) -> int:
    """Trains on months; the last fifth of their rides is held out. The number of the new version."""
    from jobs.training.pipeline import Parameters
    from jobs.training.train import read_months, train

    console = logged_console()
    months = read_months(places, (), console)
    return train(Settings.read(), months, MODEL_NAME, Parameters(), console).version


@task(
    name="promote",
    retry_condition_fn=_worth_another_promotion,
    retry_jitter_factor=JITTER,
    cache_policy=NO_CACHE,
)
def promote_version(version: int) -> None:
    """Puts a version in service, if the gates let it through."""
    from jobs.registry.promotion import promote
    from jobs.registry.tracking_server import reachable

    settings = Settings.read()
    with reachable(settings):
        promote(settings, MODEL_NAME, version, logged_console())


@flow
def ride_duration_retraining(  # noqa: PLR0913  # one for each thing that a person may want otherwise
    taxi_type: Taxi = "green",
    run_date: date | None = None,
    *,
    trips: str = TRIPS,
    months: PositiveInt = MONTHS,
    months_back: NonNegativeInt = 1,
    always: bool = False,
    retry_delays: Sequence[float] = RETRY_DELAYS,
) -> Retraining:
    """Reports on the month before the one of its run date; if it passes a limit, trains and promotes.

    The functions take the new champion at their next look at the release pointer.

    Args:
        run_date: when it is not given, the day for which the run was scheduled, on New York's clock.
        trips: a path, gs://… or https://…, in which {taxi_type}, {year:04d} and {month:02d} are filled in.
        months: how many to learn from, the month itself the last of them.
        months_back: how many months before; 3 when the trips are TLC's, which come two months late.
        always: trains also when no limit is passed.
        retry_delays: seconds before each further try.

    Raises:
        StaysOut: the month has drifted, and the new version is no better: somebody must look.
        RidecastError: a month cannot be read, or MLflow or the bucket refuses, also after the last try.
    """
    day = run_date or flow_run.scheduled_start_time.astimezone(NEW_YORK).date()
    newest = month_before(day, months_back)
    title = f"{taxi_type} {newest:%Y-%m}"
    places = [fill_in(trips, month_before(newest, back), taxi_type) for back in reversed(range(months))]
    patience: dict[str, Any] = {"retries": len(retry_delays), "retry_delay_seconds": list(retry_delays)}

    findings = report_month.with_options(**patience)(places[-1])
    exceeded = tuple(map(str, findings.exceeded))
    if not exceeded and not always:
        result = Retraining(title, exceeded)
        return Completed(name="Not needed", message=result.line(), data=result)  # type: ignore[return-value]
    version = train_version.with_options(**patience)(places)
    promote_version.with_options(**patience)(version)
    result = Retraining(title, exceeded, version)
    create_markdown_artifact(result.line(), slug(f"retraining {taxi_type}"), result.line())
    return Completed(message=result.line(), data=result)  # type: ignore[return-value]
