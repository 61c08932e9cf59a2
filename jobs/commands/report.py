"""python -m jobs report: checks whether the model still fits the rides."""

import sys

import click
from rich.console import Console

from jobs.commands.options import MultiValueCommand, model_option

LIMIT_EXCEEDED = 3
"""Exit code if a limit is exceeded; 1 is an error, 2 a wrong option."""
FILE_WIDTH = 200
"""Line width where there is no terminal."""
_HOURS = {"m": 1 / 60, "h": 1.0, "d": 24.0}


def _parse_hours(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    number, unit = value[:-1], value[-1:]
    if not number.isdecimal() or unit not in _HOURS or int(number) == 0:
        raise click.BadParameter(f"{value} is not a duration: write a number and m, h or d, such as 24h")
    return int(number) * _HOURS[unit]


@click.command(cls=MultiValueCommand)
@click.option(
    "--trips",
    multiple=True,
    metavar="URI…",
    help="Months to report on, green or yellow trips in Parquet: paths, gs://… or https://….",
)
@click.option(
    "--reference",
    multiple=True,
    metavar="URI…",
    help="The months that the model was trained on.  [default: those that its training run names]",
)
@click.option(
    "--predictions",
    default="",
    metavar="FOLDER",
    help="The folder given to `score --output`, to use its predictions.  [default: the model predicts now]",
)
@model_option
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=NUMBER",
    help="Override a limit: psi, rmse_factor, bias, unseen_zones, unseen_pairs or rejected; may be repeated.",
)
@click.option(
    "--stream",
    default="",
    metavar="URI",
    help="Instead of --trips: the database of `collect`, or Parquet of the view rides_of_the_stream: a file, "
    "a folder or gs://….",
)
@click.option(
    "--since",
    default="24h",
    show_default=True,
    metavar="DURATION",
    callback=_parse_hours,
    help="How much of the stream to report on, up to its latest event: 90m, 24h, 7d.",
)
@click.option("--page", default="", metavar="URI", help="Write the report as HTML to a path or gs://….")
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
    """Compare predictions with rides, and rides with the training data; exit code 3 means drift.

    Exceeded limits are listed first. The report is logged to MLflow if MLFLOW_TRACKING_URI and MODEL_BUCKET
    are set.
    """
    if bool(trips) == bool(stream):
        raise click.UsageError("give --trips or --stream")
    # These take seconds to import, for which neither `--help` nor a missing file should wait.
    from jobs.storage.tables import require_exists

    require_exists(*trips, *reference)
    from jobs.monitoring.report import ReportRequest, make_report
    from jobs.monitoring.thresholds import Thresholds

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    request = ReportRequest(
        trips, reference, predictions, model, stream, since, page, Thresholds.parse(limits)
    )
    findings = make_report(request, console)
    if not findings.ok:
        sys.exit(LIMIT_EXCEEDED)
