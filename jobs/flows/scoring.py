"""The flows that score ride durations: the month before the run's date, and a backfill of past months."""

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
from jobs.flows.prefect_artifacts import ScoringReport, failed_row, slug, title_of
from jobs.flows.tasks import RETRY_DELAYS, require_folder, score_file
from jobs.scoring.job import ScoringRequest
from jobs.trips.download import TLC_URL
from jobs.trips.months import format_uri, month_before, months_between

TRIPS = TLC_URL + "{taxi_type}_tripdata_{year:04d}-{month:02d}.parquet"
"""Where TLC publishes a month, about two months after its end."""
Taxi = Literal["green", "yellow"]
TAXI: Taxi = "green"
MONTHS_BACK = 1


class MonthsFailed(RidecastError):
    """Some months of a backfill could not be scored."""


def month_of_run(run_date: date | None, months_back: int) -> date:
    """The month that the current flow run is about.

    Args:
        run_date: None for the day for which the run was scheduled, in New York time.
        months_back: how many months before the run date's month.
    """
    day = run_date or flow_run.scheduled_start_time.astimezone(NEW_YORK).date()
    return month_before(day, months_back)


def title_of_run() -> str:
    """The name of a flow run about one month: `green 2021-03`."""
    given = flow_run.parameters
    month = month_of_run(given.get("run_date"), given.get("months_back", MONTHS_BACK))
    return f"{given.get('taxi_type', TAXI)} {month:%Y-%m}"


@flow(flow_run_name=title_of_run)
def ride_duration_prediction(  # noqa: PLR0913  # each is an option of a run
    taxi_type: Taxi = TAXI,
    run_date: date | None = None,
    *,
    output: str,
    trips: str = TRIPS,
    model: str = "",
    months_back: NonNegativeInt = MONTHS_BACK,
    retry_delays: Sequence[float] = RETRY_DELAYS,
) -> ScoringReport:
    """Scores the month before the run date's month.

    Args:
        run_date: by default the day for which the run was scheduled, in New York time.
        output: a folder, local or gs://…
        trips: a path, gs://… or https://…, with the placeholders {taxi_type}, {year:04d} and {month:02d}.
        model: a release pointer, an MLflow model's folder, models:/NAME@ALIAS or models:/NAME/7;
            empty for the champion's release in MODEL_BUCKET.
        months_back: how many months before; use 3 for TLC's trips, which are published two months late.
        retry_delays: seconds before each retry.

    Raises:
        RidecastError: the month cannot be scored, even after the last retry.
    """
    request = _scoring_request(taxi_type, month_of_run(run_date, months_back), trips, output, model)
    return _with_retries(retry_delays)(request)


@flow(flow_run_name="{taxi_type} {first} to {last}")
def ride_duration_backfill(  # noqa: PLR0913  # as above
    taxi_type: Taxi = TAXI,
    *,
    first: str,
    last: str,
    output: str,
    trips: str = TRIPS,
    model: str = "",
    concurrency: PositiveInt = 2,
    again: bool = False,
    retry_delays: Sequence[float] = RETRY_DELAYS,
) -> list[ScoringReport]:
    """Scores all months of a range that this version of the model has not scored yet.

    After a crash, run it again: finished months are left unchanged. A month that fails does not stop others.

    Args:
        first: the first month, 2021-01.
        last: the last one.
        output: a folder, local or gs://…
        trips: a path, gs://… or https://…, with the placeholders {taxi_type}, {year:04d} and {month:02d}.
        model: see `ride_duration_prediction`.
        concurrency: how many months are scored at the same time.
        again: also scores months that are finished.
        retry_delays: seconds before each retry.

    Raises:
        MonthsFailed: names the months that failed, after all others are done.
    """
    months = months_between(first, last)
    requests = [_scoring_request(taxi_type, month, trips, output, model) for month in months]
    score = _with_retries(retry_delays)
    runner: ThreadPoolTaskRunner[ScoringReport] = ThreadPoolTaskRunner(max_workers=concurrency)
    with runner:
        futures = [runner.submit(score, {"request": request, "again": again}) for request in requests]
        results = [future.result(raise_on_failure=False) for future in futures]
    rows = [
        result.row() if isinstance(result, ScoringReport) else failed_row(title_of(request), result)
        for request, result in zip(requests, results, strict=True)
    ]
    create_table_artifact(rows, slug(f"backfill {taxi_type}"), f"{taxi_type} {first} to {last}")
    if failed := [f"{row['month']}: {row['predictions']}" for row in rows if row["state"] == "failed"]:
        raise MonthsFailed(
            f"{len(failed)} of {len(requests)} months failed; fix the cause and run the backfill again, "
            f"finished months are left unchanged\n" + "\n".join(failed)
        )
    return results


def _scoring_request(taxi: Taxi, month: date, trips: str, output: str, model: str) -> ScoringRequest:
    folder = format_uri(output, month, taxi)
    require_folder(folder)
    return ScoringRequest(format_uri(trips, month, taxi), folder, model, taxi, month)


def _with_retries(retry_delays: Sequence[float]) -> Task[..., ScoringReport]:
    return score_file.with_options(retries=len(retry_delays), retry_delay_seconds=list(retry_delays))
