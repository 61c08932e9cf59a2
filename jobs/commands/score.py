"""python -m jobs score: a table in, predictions out."""

from datetime import date, datetime

import click
from rich.console import Console

from functions.rides import NEW_YORK
from jobs.commands.error_boundary import JobCommand
from jobs.commands.options import model_option, pickle_option, taxi_option, year_option
from jobs.scoring.job import Done, Wish, score_place
from jobs.trips.months import fill_in, month_before

HOMEWORK = ("ride_id", "predicted_duration")
"""The two columns that the course's homework hands in."""


@click.command(cls=JobCommand)
@click.option(
    "--trips",
    envvar="INPUT_FILE_PATTERN",
    show_envvar=True,
    required=True,
    metavar="PLACE",
    help="Parquet of green or yellow trips, or of any table that the model takes: a path, gs://… or "
    "https://…. {year:04d}, {month:02d} and {taxi_type} are filled in.",
)
@click.option(
    "--output",
    envvar="OUTPUT_FILE_PATTERN",
    show_envvar=True,
    required=True,
    metavar="PLACE",
    help="A folder, local or gs://…, for the layout taxi_type=…/year=…/month=…; or a file named ….parquet.",
)
@model_option
@taxi_option
@year_option
@click.option("--month", type=click.IntRange(1, 12))
@click.option(
    "--months-back",
    type=click.IntRange(0),
    help="Instead of both: so many months before this one, on New York's clock; for runs by the clock.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["full", "homework"]),
    default="full",
    show_default=True,
    help="All columns, or ride_id and predicted_duration.",
)
@pickle_option
def command(  # noqa: PLR0913, PLR0917  # one for each option
    trips: str,
    output: str,
    model: str,
    taxi: str | None,
    year: int | None,
    month: int | None,
    months_back: int | None,
    form: str,
    allow_pickle: bool,
) -> None:
    """Predict a month of trips, or each row of any table.

    The same model again replaces its own predictions. Rows that cannot be predicted go to a file of their
    own, each with its reason.
    """
    when = month_asked_for(year, month, months_back, datetime.now(NEW_YORK).date())
    console = Console(highlight=False, markup=False, soft_wrap=True)
    places = fill_in(trips, when, taxi or ""), fill_in(output, when, taxi or "")
    columns = HOMEWORK if form == "homework" else ()
    done = score_place(Wish(*places, model, taxi or "", when, columns, allow_pickle), console)
    if form == "homework":
        click.echo(f"predicted mean duration: {done.outcome.mean}")
    else:
        _print(done, console)
    click.echo(f"predictions: {done.output.predictions}\nrejected: {done.output.rejected}")


def month_asked_for(year: int | None, month: int | None, months_back: int | None, today: date) -> date | None:
    """The month that the options name; None if they name none."""
    if (year is None) != (month is None):
        raise click.UsageError("give --year and --month together")
    if months_back is not None and year is not None:
        raise click.UsageError("give --months-back, or --year and --month")
    if months_back is not None:
        return month_before(today, months_back)
    return date(year, month, 1) if year and month else None


def _print(done: Done, console: Console) -> None:
    outcome, unit = done.outcome, done.model.target.unit
    console.print(
        f"{outcome.rows:,} rows by {done.model.release.name} version {done.model.version} in "
        f"{done.seconds:.1f} s ({outcome.rows / done.seconds:,.0f}/s)"
    )
    console.print(f"{outcome.predicted:>12,} predicted, mean {outcome.mean:.4f} {unit}")
    for what, rows in outcome.mended.items():
        console.print(f"{rows:>12,} of them with a {what}: taken as not recorded")
    if outcome.compared:
        console.print(
            f"{outcome.compared:>12,} of them compared with what was: RMSE {outcome.rmse:.4f}, "
            f"mean absolute error {outcome.mae:.4f} {unit}"
        )
    console.print(f"{outcome.rejected.total():>12,} rejected")
    for reason, rows in outcome.rejected.most_common():
        console.print(f"{rows:>12,}   {reason}")
