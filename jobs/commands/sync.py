"""python -m jobs sync: the release pointer follows the alias that was moved in the MLflow UI."""

import click

from jobs.commands.error_boundary import JobCommand
from jobs.registry.pointer_sync import sync
from jobs.registry.tracking_server import reachable
from jobs.settings import MODEL_NAME, Settings


@click.command(cls=JobCommand)
@click.option("--name", default=MODEL_NAME, show_default=True, help="Registered model.")
def command(name: str) -> None:
    """Make the functions serve the version that has the alias `champion` in the registry.

    Whoever moved the alias has decided: no gate asks for its error, but the model must load and answer.
    """
    settings = Settings.read()
    with reachable(settings):
        click.echo(sync(settings, name))
