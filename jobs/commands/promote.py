"""python -m jobs promote: makes a registered version the champion that the functions serve."""

import click
from rich.console import Console

from jobs.commands.options import MultiValueCommand, pickle_option
from jobs.registry.gates import RMSE_TOLERANCE_MINUTES
from jobs.registry.promotion import Candidate, promote
from jobs.registry.tracking_server import connect
from jobs.settings import MODEL_NAME, Settings


@click.command(cls=MultiValueCommand)
@click.option("--version", type=click.IntRange(1), help="The version to promote.  [default: the latest]")
@click.option(
    "--model",
    metavar="URI",
    default="",
    help="Instead of --version: a model that was logged elsewhere, which becomes a new version: "
    "runs:/RUN/NAME, models:/m-…, models:/OTHER/7, or a folder with MLmodel, local or gs://….",
)
@click.option("--name", default=MODEL_NAME, show_default=True, help="The registered model.")
@click.option(
    "--held-out",
    multiple=True,
    metavar="URI…",
    help="Months of trips to evaluate on.  [default: the rides that the version's training held out]",
)
@click.option(
    "--tolerance",
    default=RMSE_TOLERANCE_MINUTES,
    show_default=True,
    help="Minutes by which the RMSE may exceed the champion's.",
)
@click.option("--force", is_flag=True, help="Promote even if a gate fails; this is recorded.")
@pickle_option
def command(  # noqa: PLR0913, PLR0917  # one for each option
    version: int | None,
    model: str,
    name: str,
    held_out: tuple[str, ...],
    tolerance: float,
    force: bool,
    allow_pickle: bool,
) -> None:
    """Compare a version with the champion on the same held-out rides, and put it in service.

    Promoting a former champion is a rollback: its error is shown, but the gates are skipped.
    """
    if version and model:
        raise click.UsageError("give --version or --model")
    settings = Settings.read()
    console = Console(highlight=False, soft_wrap=True)
    candidate = Candidate(version, model, held_out, tolerance, allow_pickle)
    with connect(settings):
        promote(settings, name, candidate, console, force=force)
