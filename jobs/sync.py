"""python -m jobs sync: the release pointer follows the alias that was moved in MLflow's own pages."""

import click

from functions.errors import RidecastError
from functions.model import load_model
from jobs.reachable import reachable
from jobs.registered import Registry, point_at, pointed_at
from jobs.settings import ALIAS, MODEL_NAME, Settings


@click.command()
@click.option("--name", default=MODEL_NAME, show_default=True, help="Registered model.")
def command(name: str) -> None:
    """Make the functions serve the version that has the alias `champion` in the registry.

    Whoever moved the alias has decided: no gate asks for its error, but the model must load and answer.
    """
    settings = Settings.read()
    try:
        with reachable(settings):
            click.echo(sync(settings, name))
    except RidecastError as error:
        raise click.ClickException(str(error)) from error


def sync(settings: Settings, name: str) -> str:
    """Writes the pointer if it names another version than the alias; tells what was done.

    Raises:
        RidecastError: there is no such version, or it does not load; the pointer is as it was.
    """
    registry = Registry(settings.tracking_uri, name)
    version = registry.aliased(ALIAS)
    if version is None:
        # A clock runs this, and before the first promotion there is nothing wrong.
        return f"no version of {name} has the alias {ALIAS}, so there is nothing to follow: promote one first"
    pointer = settings.pointer(name)
    release = registry.release(version)
    if release == pointed_at(pointer):
        return f"{pointer} already names version {version}"
    load_model(release)
    point_at(pointer, release)
    return f"{pointer} now names version {version}"
