"""python -m jobs tag: what the images are called that this checkout would give."""

import click

from functions.errors import RidecastError
from jobs.archive import HOUSE
from jobs.contents import content_hash, listed


@click.command()
def command() -> None:
    """Print the images' tag, the hash of what Dockerfile can copy and of itself."""
    try:
        click.echo(content_hash(listed(".dockerignore", HOUSE), HOUSE))
    except RidecastError as error:
        raise click.ClickException(str(error)) from error
