"""python -m jobs promote: makes a registered version the champion that the functions serve."""

import click
from rich.console import Console

from jobs.commands.error_boundary import JobCommand
from jobs.registry.gates import RMSE_TOLERANCE_MINUTES
from jobs.registry.promotion import promote
from jobs.registry.tracking_server import connect
from jobs.settings import MODEL_NAME, Settings


@click.command(cls=JobCommand)
@click.option("--version", type=int, help="The version to promote.  [default: the latest]")
@click.option("--name", default=MODEL_NAME, show_default=True, help="The registered model.")
@click.option(
    "--tolerance",
    default=RMSE_TOLERANCE_MINUTES,
    show_default=True,
    help="Minutes by which the RMSE may exceed the champion's.",
)
@click.option("--force", is_flag=True, help="Promote even if a gate fails; this is recorded.")
def command(version: int | None, name: str, tolerance: float, force: bool) -> None:
    """Compare a version with the champion on the same held-out rides, and put it in service.

    Promoting a former champion is a rollback: its error is shown, but the gates are skipped.
    """
    settings = Settings.read()
    console = Console(highlight=False, soft_wrap=True)
    with connect(settings):
        promote(settings, name, version, console, tolerance, force=force)
