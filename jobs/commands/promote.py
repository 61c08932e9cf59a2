"""python -m jobs promote: a registered version becomes the champion that the functions serve."""

import click
from rich.console import Console

from jobs.commands.error_boundary import JobCommand
from jobs.registry.gates import TOLERANCE_MINUTES
from jobs.registry.promotion import promote
from jobs.registry.tracking_server import reachable
from jobs.settings import MODEL_NAME, Settings


@click.command(cls=JobCommand)
@click.option("--version", type=int, help="The version to promote; the newest if not given.")
@click.option("--name", default=MODEL_NAME, show_default=True, help="Registered model.")
@click.option(
    "--tolerance",
    default=TOLERANCE_MINUTES,
    show_default=True,
    help="Minutes by which the RMSE may exceed the champion's.",
)
@click.option("--force", is_flag=True, help="Promote whatever the gates say; it is recorded.")
def command(version: int | None, name: str, tolerance: float, force: bool) -> None:
    """Judge a version beside the champion on the same held-out rides, and put it in service.

    A version that was champion before comes back as a roll-back: its error is shown but not gated.
    """
    settings = Settings.read()
    console = Console(highlight=False, soft_wrap=True)
    with reachable(settings):
        promote(settings, name, version, console, tolerance, force=force)
