"""The customers of the month that is over, scored on the second of each month.

.venv/bin/python -m examples.churn.flow
"""

from datetime import date, timedelta

from prefect import flow, task
from prefect.runtime import flow_run
from prefect.tasks import exponential_backoff
from rich.console import Console

from jobs.scoring.job import Wish, score_place


@task(retries=3, retry_delay_seconds=exponential_backoff(30))
def score(customers: str, output: str, model: str) -> str:
    """Where the predictions are."""
    return score_place(Wish(customers, output, model), Console()).output.predictions


@flow(name="churn")
def churn(
    run_date: date | None = None,
    customers: str = "customers_{month:%Y-%m}.parquet",
    output: str = "predictions",
    model: str = "models:/churn@champion",
) -> str:
    """Scores the month before the run date, which is the day that the run was scheduled for."""
    day = run_date or flow_run.get_scheduled_start_time().date()
    month = day.replace(day=1) - timedelta(days=1)
    return score(customers.format(month=month), output, model)


if __name__ == "__main__":
    churn.serve(name="monthly", cron="0 5 2 * *")
