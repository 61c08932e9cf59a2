"""Generates customers of a taxi app: their plan, their rides, and whether they left in the following month.

Seeded: a month is the same every time it is generated. Whether a customer leaves is random. The odds are a
logistic function of the table's columns and of noise that no model can learn.

    .venv/bin/python -m examples.churn.customers --month 2026-11 --output .cache/customers_2026-11.parquet
"""

from datetime import date, datetime
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.commands.error_boundary import JobCommand
from jobs.storage.atomic import atomic_write
from jobs.storage.errors import translate_errors
from jobs.ui.text import count

SEED = 1907
"""The year of New York's first motor taxis with a meter."""
CUSTOMERS = 20_000
CITIES = {"New York": 0.0, "Newark": 0.3, "Yonkers": 0.5, "Jersey City": -0.2}
PLANS = {"pay as you go": 0.4, "monthly": -0.5, "business": -1.0}
"""Plan → its term in the log odds of leaving; likewise for `CITIES`."""
PLAN_SHARES = (0.6, 0.3, 0.1)
NOISE_SIGMA = 0.5
"""Standard deviation of the noise in the log odds."""
UNKNOWN_RATING_SHARE = 0.15
MISSING_SHARE = 0.002
"""Share of rows without a city, and share of rows without a number of rides."""

Numbers = npt.NDArray[np.float64]


def generate_customers(month: date, rows: int = CUSTOMERS, outcome: bool = False) -> pa.Table:
    """Customers at the end of a month, one per row.

    Args:
        month: its first day.
        outcome: add the column `churned`, which is known only a month later.
    """
    rng = np.random.default_rng([SEED, month.toordinal()])
    habit = rng.gamma(1.5, 6, rows)
    fading = rng.beta(1, 3, rows)
    customers: dict[str, Any] = {
        "customer_id": [f"{month:%Y%m}-{number:06}" for number in range(rows)],
        "city": rng.choice(list(CITIES), rows),
        "plan": rng.choice(list(PLANS), rows, p=PLAN_SHARES),
        "months_as_customer": 1 + rng.geometric(0.05, rows),
        "rides_previous_month": rng.poisson(habit),
        "rides_last_month": rng.poisson(habit * (1 - fading)),
    }
    days = 1 + rng.exponential(40, rows) / (1 + customers["rides_last_month"])
    customers |= {
        "days_since_last_ride": np.minimum(days, 60).astype(np.int64),
        "mean_rating": (5 - rng.gamma(1.2, 0.4, rows)).clip(1).round(2),
        "complaints": rng.poisson(0.2 + fading),
        "opted_in_to_mail": rng.random(rows) < 0.6,
    }
    churned = rng.random(rows) < 1 / (1 + np.exp(-_log_odds(customers) - rng.normal(0, NOISE_SIGMA, rows)))
    missing = {
        "city": rng.random(rows) < MISSING_SHARE,
        "rides_last_month": rng.random(rows) < MISSING_SHARE,
        "mean_rating": rng.random(rows) < UNKNOWN_RATING_SHARE,
    }
    columns = {name: pa.array(column, mask=missing.get(name)) for name, column in customers.items()}
    return pa.table(columns | ({"churned": pa.array(churned)} if outcome else {}))


def _log_odds(customers: dict[str, Any]) -> Numbers:
    odds: Numbers = (
        -1.5
        + np.vectorize(CITIES.get)(customers["city"])
        + np.vectorize(PLANS.get)(customers["plan"])
        - 0.02 * customers["months_as_customer"]
        + 0.08 * (customers["rides_previous_month"] - 2 * customers["rides_last_month"])
        + 0.05 * customers["days_since_last_ride"]
        + 0.8 * (4.5 - customers["mean_rating"])
        + 0.6 * customers["complaints"]
    )
    return odds


@click.command(cls=JobCommand)
@click.option("--month", type=click.DateTime(["%Y-%m"]), required=True, help="2026-11")
@click.option("--output", metavar="URI", required=True, help="Parquet file to write: a path or gs://….")
@click.option("--customers", default=CUSTOMERS, show_default=True, type=click.IntRange(1))
@click.option("--outcome", is_flag=True, help="Add the column `churned`: who left in the following month.")
def command(month: datetime, output: str, customers: int, outcome: bool) -> None:
    """Generate a month of customers."""
    table = generate_customers(month.date(), customers, outcome)
    with atomic_write(output) as file, translate_errors(output):
        pq.write_table(table, file)
    left = f", {sum(table['churned'].to_pylist()):,} of whom left in the following month" if outcome else ""
    click.echo(f"{count(len(table), 'customer')}{left}: {output}")


if __name__ == "__main__":
    command()
