"""python -m jobs score: predicts the rows of a table."""

from datetime import date, datetime

import click
from rich.console import Console

from functions.rides import NEW_YORK
from jobs.commands.error_boundary import JobCommand
from jobs.commands.options import model_option, pickle_option, taxi_option, year_option
from jobs.scoring.job import ScoringRequest, ScoringResult, run_scoring
from jobs.trips.download import TLC_URL
from jobs.trips.months import format_uri, month_before
from jobs.ui.text import count

HOMEWORK = ("ride_id", "predicted_duration")
"""Columns of the file that the course's homework asks for."""


@click.command(cls=JobCommand)
@click.option(
    "--trips",
    envvar="INPUT_FILE_PATTERN",
    show_envvar=True,
    required=True,
    metavar="URI",
    help="Trips, or any table that the model accepts, as Parquet or CSV: a file, a folder of part files or a "
    "pattern; a path, gs://… or https://…. {year:04d}, {month:02d} and {taxi_type} are replaced, as in "
    f"{TLC_URL}green_tripdata_{{year:04d}}-{{month:02d}}.parquet.",
)
@click.option(
    "--output",
    envvar="OUTPUT_FILE_PATTERN",
    show_envvar=True,
    required=True,
    metavar="URI",
    help="A folder, local or gs://…, for the layout taxi_type=…/year=…/month=…; or a file ….parquet.",
)
@model_option
@taxi_option
@year_option
@click.option(
    "--month", type=click.IntRange(1, 12), help="The month, 1 to 12.  [default: as the file's name says]"
)
@click.option(
    "--months-back",
    type=click.IntRange(0),
    help="Instead of --year and --month: how many months before the current one, in New York; for "
    "scheduled runs.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["full", "homework"]),
    default="full",
    show_default=True,
    help="All columns, or only ride_id and predicted_duration.",
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
    output_format: str,
    allow_pickle: bool,
) -> None:
    """Predict a month of trips, or each row of any table.

    Scoring again with the same model replaces its predictions. Rows that cannot be predicted are written to
    a second file, each with a reason.
    """
    resolved = resolve_month(year, month, months_back, datetime.now(NEW_YORK).date())
    console = Console(highlight=False, markup=False, soft_wrap=True)
    uris = format_uri(trips, resolved, taxi or ""), format_uri(output, resolved, taxi or "")
    columns = HOMEWORK if output_format == "homework" else ()
    request = ScoringRequest(*uris, model, taxi or "", resolved, columns, allow_pickle)
    result = run_scoring(request, console)
    if output_format == "homework":
        click.echo(f"predicted mean duration: {result.stats.mean}")
        click.echo(f"standard deviation of the predicted duration: {result.stats.standard_deviation}")
    else:
        _print(result, console)
    click.echo(f"predictions: {result.output.predictions}\nrejected: {result.output.rejected}")


def resolve_month(year: int | None, month: int | None, months_back: int | None, today: date) -> date | None:
    """The month that the options specify; None without any."""
    if (year is None) != (month is None):
        raise click.UsageError("give --year and --month together")
    if months_back is not None and year is not None:
        raise click.UsageError("give --months-back, or --year and --month")
    if months_back is not None:
        return month_before(today, months_back)
    return date(year, month, 1) if year and month else None


def _print(result: ScoringResult, console: Console) -> None:
    stats, unit = result.stats, result.model.target.unit_suffix
    console.print(
        f"{count(stats.rows, 'row')} by {result.model.release.name} version {result.model.version} in "
        f"{result.seconds:.1f} s ({stats.rows / result.seconds:,.0f}/s)"
    )
    console.print(
        f"{stats.predicted:>12,} predicted, mean {stats.mean:.4f}{unit}, "
        f"standard deviation {stats.standard_deviation:.4f}"
    )
    for what, rows in stats.repaired.items():
        console.print(f"{rows:>12,} of them with a {what}: taken as not recorded")
    if stats.compared:
        console.print(
            f"{stats.compared:>12,} with known duration: RMSE {stats.rmse:.4f}, "
            f"mean absolute error {stats.mae:.4f}{unit}"
        )
    console.print(f"{stats.rejected.total():>12,} rejected")
    for reason, rows in stats.rejected.most_common():
        console.print(f"{rows:>12,}   {reason}")
