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


def scored_month(run_date: date | None) -> date:
    """The month before the run date, by default the day for which the run was scheduled."""
    return month_before(run_date or flow_run.scheduled_start_time.date())


@flow(
    name="churn",
    flow_run_name=lambda: f"customers {scored_month(flow_run.parameters.get('run_date')):%Y-%m}",
)
def churn(
    run_date: date | None = None,
    customers: str = ".cache/customers_{month:%Y-%m}.parquet",
    output: str = ".cache/predictions",
    model: str = "models:/churn@champion",
) -> ScoringReport:
    """Scores the month before the run date."""
    table = customers.format(month=scored_month(run_date))
    return score_file(ScoringRequest(table, output, model))


if __name__ == "__main__":
    churn.serve(name="monthly", cron="0 5 2 * *")
