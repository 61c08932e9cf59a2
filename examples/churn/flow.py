"""Scores the customers of the previous month on the second of each month.

.venv/bin/python -m examples.churn.flow
"""

from datetime import date

from prefect import flow
from prefect.runtime import flow_run

from jobs.flows.prefect_artifacts import ScoringReport
from jobs.flows.tasks import score_file
from jobs.scoring.job import ScoringRequest
from jobs.trips.months import month_before


@flow(name="churn")
def churn(
    run_date: date | None = None,
    customers: str = "customers_{month:%Y-%m}.parquet",
    output: str = "predictions",
    model: str = "models:/churn@champion",
) -> ScoringReport:
    """Scores the month before the run date, by default the day for which the run was scheduled."""
    month = month_before(run_date or flow_run.scheduled_start_time.date())
    return score_file(ScoringRequest(customers.format(month=month), output, model))


if __name__ == "__main__":
    churn.serve(name="monthly", cron="0 5 2 * *")
