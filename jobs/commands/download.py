"""python -m jobs download: months of trips from TLC, or generated ones without a network."""

import os
import shlex
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import click

from jobs.commands.error_boundary import JobCommand, blame_option
from jobs.trips.months import parse_month
from jobs.ui.hints import job_command

FOLDER = Path(".cache/trips")
TAXIS = {
    "green": "green taxis",
    "yellow": "yellow taxis",
    "fhvhv": "high-volume for-hire vehicles",
    "fhv": "other for-hire vehicles, which record no distance",
}
SETTINGS = "export MLFLOW_TRACKING_URI=sqlite:///$PWD/.cache/mlflow.db MODEL_BUCKET=$PWD/.cache/models"
"""As in the README: a database and a folder in place of servers."""


@click.command(cls=JobCommand)
@click.argument("months", nargs=-1, required=True, metavar="MONTH…")
@click.option(
    "--taxi",
    type=click.Choice(tuple(TAXIS)),
    default="green",
    show_default=True,
    help="; ".join(f"{name}: {description}" for name, description in TAXIS.items()) + ".",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Where to save the files.",
)
@click.option("--generated", is_flag=True, help="Generate the months, without asking TLC.")
def command(months: tuple[str, ...], taxi: str, folder: Path, generated: bool) -> None:
    """Download months of trips from TLC, or generate them without a network.

    A MONTH is written like 2021-01. Prints the paths of the files, which are named as TLC names them and are
    complete or absent. A month that is already in the folder is not downloaded again.

    If TLC cannot be reached, this says so and generates rides of a made-up city under the same names, which
    the next download replaces.
    """
    with blame_option("MONTH"):
        days = [parse_month(month) for month in months]
    paths = _provide(taxi, days, folder, generated)
    for path in paths:
        click.echo(path)
    _print_next_step(taxi, paths)


def _provide(taxi: str, months: Sequence[date], folder: Path, generated: bool) -> list[Path]:
    # They import pyarrow and Google's client, which takes half a second that `--help` avoids.
    from jobs.storage.errors import DownloadFailed, NotPublished
    from jobs.trips.download import download_months, generate_months, generated_beside

    if not generated:
        try:
            paths = download_months(taxi, months, folder)
        except NotPublished:
            raise
        except DownloadFailed as error:
            click.echo(error, err=True)
        else:
            for path in generated_beside(paths):
                click.echo(f"{path} is still generated: download it too, or do not mix them", err=True)
            click.echo(f"TLC's trips, {TAXIS[taxi]}:", err=True)
            return paths
    paths = generate_months(taxi, months, folder)
    click.echo(
        "Generated trips of a made-up city, for trying everything out; they say nothing about New York:",
        err=True,
    )
    return paths


def _print_next_step(taxi: str, paths: Sequence[Path]) -> None:
    if taxi == "fhv":
        return  # without distances there is nothing to train on
    *training, last = [shlex.quote(str(path)) for path in paths]
    options = f"--trips {' '.join(training)} --validate {last}" if training else f"--trips {last}"
    lines = [job_command(f"train {options}"), job_command("promote")]
    if not {"MLFLOW_TRACKING_URI", "MODEL_BUCKET"} <= set(os.environ):
        lines.insert(0, SETTINGS)
    click.echo(
        "\n".join(["\nNext, train a model on them and put it in service:", *(f"  {line}" for line in lines)]),
        err=True,
    )
