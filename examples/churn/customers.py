"""Customers of a taxi app, made up: who they are, how they rode, and whether they left in the month after.

Seeded: a month is the same every time it is made. Whether a customer leaves is a throw of a coin. Its odds
are a logistic formula of what the table says and of luck, which no model learns.

    .venv/bin/python -m examples.churn.customers --month 2026-11 --output customers_2026-11.parquet
"""

from datetime import date, datetime
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from functions.errors import RidecastError
from jobs.storage.files import trouble_with, writing

SEED = 1907
"""The year of New York's first taxis with a motor and a meter."""
CUSTOMERS = 20_000
CITIES = {"New York": 0.0, "Newark": 0.3, "Yonkers": 0.5, "Jersey City": -0.2}
PLANS = {"pay as you go": 0.4, "monthly": -0.5, "business": -1.0}
"""With how much each adds to the logarithm of the odds of leaving."""
PLAN_SHARES = (0.6, 0.3, 0.1)
LUCK = 0.5
"""Standard deviation of what nobody can know, on the same scale."""
UNKNOWN_RATING = 0.15
DIRT = 0.002
"""Part of the rows that lack a city, and as many that lack a count of rides."""

Numbers = npt.NDArray[np.float64]


def generate_customers(month: date, rows: int = CUSTOMERS, outcome: bool = False) -> pa.Table:
    """Customers as they were at the end of a month, one a row.

    Args:
        month: its first day.
        outcome: whether to add `churned`, which is known only a month later.
    """
    draw = np.random.default_rng([SEED, month.toordinal()])
    habit = draw.gamma(1.5, 6, rows)
    fading = draw.beta(1, 3, rows)
    customers: dict[str, Any] = {
        "customer_id": [f"{month:%Y%m}-{number:06}" for number in range(rows)],
        "city": draw.choice(list(CITIES), rows),
        "plan": draw.choice(list(PLANS), rows, p=PLAN_SHARES),
        "months_as_customer": 1 + draw.geometric(0.05, rows),
        "rides_previous_month": draw.poisson(habit),
        "rides_last_month": draw.poisson(habit * (1 - fading)),
    }
    pause = 1 + draw.exponential(40, rows) / (1 + customers["rides_last_month"])
    customers |= {
        "days_since_last_ride": np.minimum(pause, 60).astype(np.int64),
        "mean_rating": (5 - draw.gamma(1.2, 0.4, rows)).clip(1).round(2),
        "complaints": draw.poisson(0.2 + fading),
        "opted_in_to_mail": draw.random(rows) < 0.6,
    }
    churned = draw.random(rows) < 1 / (1 + np.exp(-_log_odds(customers) - draw.normal(0, LUCK, rows)))
    unknown = {
        "city": draw.random(rows) < DIRT,
        "rides_last_month": draw.random(rows) < DIRT,
        "mean_rating": draw.random(rows) < UNKNOWN_RATING,
    }
    columns = {name: pa.array(column, mask=unknown.get(name)) for name, column in customers.items()}
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


@click.command()
@click.option("--month", type=click.DateTime(["%Y-%m"]), required=True, help="2026-11")
@click.option("--output", metavar="PLACE", required=True, help="A Parquet file, local or on gs://.")
@click.option("--customers", default=CUSTOMERS, show_default=True, type=click.IntRange(1))
@click.option("--outcome", is_flag=True, help="Add `churned`: whether each left in the month after.")
def command(month: datetime, output: str, customers: int, outcome: bool) -> None:
    """Write a month of customers."""
    table = generate_customers(month.date(), customers, outcome)
    try:
        with writing(output) as file, trouble_with(output):
            pq.write_table(table, file)
    except RidecastError as error:
        raise click.ClickException(str(error)) from error
    left = f", {sum(table['churned'].to_pylist()):,} of whom left in the month after" if outcome else ""
    click.echo(f"{len(table):,} customers{left}: {output}")


if __name__ == "__main__":
    command()
