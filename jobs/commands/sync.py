"""python -m jobs sync: updates the release pointer after the alias was moved in the MLflow UI."""

import click

from jobs.commands.error_boundary import JobCommand
from jobs.commands.options import pickle_option
from jobs.registry.pointer_sync import sync
from jobs.registry.tracking_server import connect
from jobs.settings import MODEL_NAME, Settings


@click.command(cls=JobCommand)
@click.option("--name", default=MODEL_NAME, show_default=True, help="The registered model.")
@pickle_option
def command(name: str, allow_pickle: bool) -> None:
    """Make the functions serve the version with the alias `champion` in the registry.

    Moving the alias was the decision: the gates are skipped, but the model must load and predict.
    """
    settings = Settings.read()
    with connect(settings):
        click.echo(sync(settings, name, allow_pickle=allow_pickle))
