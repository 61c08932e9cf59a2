"""python -m jobs report: does the model still fit the rides?"""

import sys

import click
from rich.console import Console

from jobs.commands.options import ListsCommand, model_option

BEYOND = 3
"""Exit code where a limit is passed; 1 is an error, 2 a wrong option."""
WIDEST = 200
"""Characters of a line where there is no terminal to fit it into."""


_HOURS = {"m": 1 / 60, "h": 1.0, "d": 24.0}


def _hours(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    number, unit = value[:-1], value[-1:]
    if not number.isdecimal() or unit not in _HOURS or int(number) == 0:
        raise click.BadParameter(f"{value} is no time: write a number and m, h or d, as 24h")
    return int(number) * _HOURS[unit]


@click.command(cls=ListsCommand)
@click.option(
    "--trips",
    multiple=True,
    metavar="PLACE…",
    help="This month's rides in Parquet, green or yellow: paths, gs://… or https://….",
)
@click.option(
    "--reference",
    multiple=True,
    metavar="PLACE…",
    help="The months that the model learned from; those that its training named if not given.",
)
@click.option(
    "--predictions",
    default="",
    metavar="PLACE",
    help="What `score --output` was given, for the predictions that were made then; if not given, the model "
    "predicts now.",
)
@model_option
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=NUMBER",
    help="Another limit than the usual one: psi, rmse_factor, bias, unseen_zones, unseen_pairs or rejected.",
)
@click.option(
    "--stream",
    default="",
    metavar="PLACE",
    help="Instead of --trips: the file of `collect`, or Parquet of the view rides_of_the_stream, a file, a "
    "folder or gs://….",
)
@click.option(
    "--since",
    default="24h",
    show_default=True,
    metavar="TIME",
    callback=_hours,
    help="How much of the stream, up to its newest event: 90m, 24h, 7d.",
)
@click.option("--page", default="", metavar="FILE", help="Write the report as HTML: a path or gs://….")
def command(  # noqa: PLR0913, PLR0917  # one for each option
    trips: tuple[str, ...],
    reference: tuple[str, ...],
    predictions: str,
    model: str,
    limits: tuple[str, ...],
    stream: str,
    since: float,
    page: str,
) -> None:
    """Compare predictions with rides, and these with the training's; exit code 3 tells drift.

    A limit that is passed is named first. It is logged where MLFLOW_TRACKING_URI and MODEL_BUCKET say.
    """
    if bool(trips) == bool(stream):
        raise click.UsageError("give --trips or --stream")
    # They take a second to import, which `--help` does without.
    from jobs.monitoring.report import Wish, make_report
    from jobs.monitoring.thresholds import Limits

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDEST
    wish = Wish(trips, reference, predictions, model, stream, since, page, Limits.read(limits))
    findings = make_report(wish, console)
    if not findings.passed:
        sys.exit(BEYOND)
