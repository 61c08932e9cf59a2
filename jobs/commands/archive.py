"""python -m jobs archive: the functions' source archive, named by its content."""

from pathlib import Path

import click

from jobs.commands.error_boundary import JobCommand
from jobs.packaging.source_archive import write_archive
from jobs.settings import PROJECT_ROOT


@click.command(cls=JobCommand)
@click.option(
    "--output",
    default=".cache",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write it to.",
)
def command(output: Path) -> None:
    """Write the functions' source archive, named by its content, and print its path."""
    click.echo(write_archive(PROJECT_ROOT, output))
