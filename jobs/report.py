"""python -m jobs report: does the model still fit the rides?"""

import sys

import click
from rich.console import Console

from functions.errors import RidecastError
from jobs.options import ListsCommand, model_option

BEYOND = 3
"""Exit code where a limit is passed; 1 is an error, 2 a wrong option."""
WIDEST = 200
"""Characters of a line where there is no terminal to fit it into."""


@click.command(cls=ListsCommand)
@click.option(
    "--trips",
    multiple=True,
    required=True,
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
@click.option("--page", default="", metavar="FILE", help="Write the report as HTML: a path or gs://….")
def command(  # noqa: PLR0913, PLR0917  # one for each option
    trips: tuple[str, ...],
    reference: tuple[str, ...],
    predictions: str,
    model: str,
    limits: tuple[str, ...],
    page: str,
) -> None:
    """Compare predictions with rides, and these with the training's; exit code 3 tells drift.

    A limit that is passed is named first. It is logged where MLFLOW_TRACKING_URI and MODEL_BUCKET say.
    """
    # They take a second to import, which `--help` does without.
    from jobs.monitoring.limits import Limits
    from jobs.monitoring.report import Wish, make_report

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDEST
    try:
        wish = Wish(trips, reference, predictions, model, page, Limits.read(limits))
        findings = make_report(wish, console)
    except RidecastError as error:
        raise click.ClickException(str(error)) from error
    if not findings.passed:
        sys.exit(BEYOND)
