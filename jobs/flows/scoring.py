"""The flows of ride durations: the month before the run's date, and many past months."""

from collections.abc import Sequence
from datetime import date
from typing import Literal

from prefect import Task, flow
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import NonNegativeInt, PositiveInt

from functions.errors import RidecastError
from functions.rides import NEW_YORK
from jobs.flows.artifacts import Report, failed_row, slug, title_of, without_queries
from jobs.flows.tasks import RETRY_DELAYS, refuse_file, score_file
from jobs.scoring.job import Wish
from jobs.trips.download import TLC
from jobs.trips.months import fill_in, month_before, months_between

TRIPS = TLC + "{taxi_type}_tripdata_{year:04d}-{month:02d}.parquet"
"""Where TLC publishes a month, about two months after its end."""
Taxi = Literal["green", "yellow"]


class MonthsFailed(RidecastError):
    """Some months of a backfill could not be scored."""


@flow
def ride_duration_prediction(  # noqa: PLR0913  # one for each thing that a person may want otherwise
    taxi_type: Taxi = "green",
    run_date: date | None = None,
    *,
    output: str,
    trips: str = TRIPS,
    model: str = "",
    months_back: NonNegativeInt = 1,
    retry_delays: Sequence[float] = RETRY_DELAYS,
) -> Report:
    """Scores the month before the one of its run date.

    Args:
        run_date: when it is not given, the day for which the run was scheduled, on New York's clock.
        output: a folder or gs://…
        trips: a path, gs://… or https://…, in which {taxi_type}, {year:04d} and {month:02d} are filled in.
        model: a release pointer, an MLflow model's folder, models:/NAME@ALIAS or models:/NAME/7; the
            champion's release in MODEL_BUCKET if it is empty.
        months_back: how many months before; 3 when the trips are TLC's, which come two months late.
        retry_delays: seconds before each further try.

    Raises:
        RidecastError: the month cannot be scored, also after the last try.
    """
    day = run_date or flow_run.scheduled_start_time.astimezone(NEW_YORK).date()
    wish = _wish(taxi_type, month_before(day, months_back), trips, output, model)
    return _patient(retry_delays)(wish)


@flow(flow_run_name="{taxi_type} {first} to {last}")
def ride_duration_backfill(  # noqa: PLR0913  # as above
    taxi_type: Taxi = "green",
    *,
    first: str,
    last: str,
    output: str,
    trips: str = TRIPS,
    model: str = "",
    concurrency: PositiveInt = 2,
    again: bool = False,
    retry_delays: Sequence[float] = RETRY_DELAYS,
) -> list[Report]:
    """Scores all months of a range that this version of the model has not scored yet.

    After a crash, run it again: what is finished is left as it is. A month that fails stops no other.

    Args:
        first: the first month, 2021-01.
        last: the last one.
        output: a folder or gs://…
        trips: a path, gs://… or https://…, in which {taxi_type}, {year:04d} and {month:02d} are filled in.
        model: as for the month before.
        concurrency: how many months are scored at once.
        again: scores those too that are finished.
        retry_delays: seconds before each further try.

    Raises:
        MonthsFailed: names those that failed, when all others are done.
    """
    months = months_between(first, last)
    wishes = [_wish(taxi_type, month, trips, output, model) for month in months]
    score = _patient(retry_delays)
    runner: ThreadPoolTaskRunner[Report] = ThreadPoolTaskRunner(max_workers=concurrency)
    with runner:
        futures = [runner.submit(score, {"wish": wish, "again": again}) for wish in wishes]
        results = [future.result(raise_on_failure=False) for future in futures]
    reports: list[Report] = []
    rows: list[dict[str, str]] = []
    failed: list[str] = []
    for wish, result in zip(wishes, results, strict=True):
        if isinstance(result, Report):
            reports.append(result)
            rows.append(result.row())
        else:
            failed.append(f"{title_of(wish)}: {without_queries(str(result))}")
            rows.append(failed_row(title_of(wish), result))
    create_table_artifact(rows, slug(f"backfill {taxi_type}"), f"{taxi_type} {first} to {last}")
    if failed:
        raise MonthsFailed(
            f"{len(failed)} of {len(wishes)} months failed; run the backfill again when the reason is gone, "
            f"what is finished is left as it is\n" + "\n".join(failed)
        )
    return reports


def _wish(taxi: Taxi, month: date, trips: str, output: str, model: str) -> Wish:
    place = fill_in(output, month, taxi)
    refuse_file(place)
    return Wish(fill_in(trips, month, taxi), place, model, taxi, month)


def _patient(retry_delays: Sequence[float]) -> Task[..., Report]:
    return score_file.with_options(retries=len(retry_delays), retry_delay_seconds=list(retry_delays))
