"""python -m jobs tag: what the images are called that this checkout would give."""

import click

from jobs.commands.error_boundary import JobCommand
from jobs.packaging.manifest import content_hash, listed
from jobs.settings import PROJECT_ROOT


@click.command(cls=JobCommand)
def command() -> None:
    """Print the images' tag, the hash of what Dockerfile can copy and of itself."""
    click.echo(content_hash(listed(".dockerignore", PROJECT_ROOT), PROJECT_ROOT))
