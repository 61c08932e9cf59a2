"""python -m jobs tag: the tag of the images that this checkout would build."""

import click

from jobs.commands.error_boundary import JobCommand
from jobs.packaging.manifest import content_hash, list_files
from jobs.settings import PROJECT_ROOT


@click.command(cls=JobCommand)
def command() -> None:
    """Print the images' tag, a hash of their files and the Dockerfile."""
    click.echo(content_hash(list_files(".dockerignore", PROJECT_ROOT), PROJECT_ROOT))
