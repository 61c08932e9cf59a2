"""python -m jobs train: months of trips become a registered model."""

import click
from rich.console import Console

from jobs.commands.options import ListsCommand
from jobs.settings import MODEL_NAME, Settings
from jobs.training.pipeline import Parameters
from jobs.training.train import read_months, train


@click.command(cls=ListsCommand)
@click.option(
    "--trips",
    multiple=True,
    required=True,
    metavar="PLACE…",
    help="Months of green or yellow trips in Parquet: paths, gs://… or https://….",
)
@click.option(
    "--validate",
    multiple=True,
    metavar="PLACE…",
    help="Months to judge the model on; without any, the last fifth of the rides is held out.",
)
@click.option("--name", default=MODEL_NAME, show_default=True, help="Registered model.")
@click.option("--trees", default=Parameters.trees, show_default=True, type=click.IntRange(1))
@click.option(
    "--half-life",
    default=Parameters.half_life,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Days after which a ride counts half.",
)
def command(
    trips: tuple[str, ...], validate: tuple[str, ...], name: str, trees: int, half_life: float
) -> None:
    """Train on trips, judge on held-out rides, register as a new version.

    Nothing is registered unless ONNX and scikit-learn agree on all held-out rides.
    """
    settings = Settings.read()
    console = Console(highlight=False, soft_wrap=True)
    months = read_months(trips, validate, console)
    train(settings, months, name, Parameters(trees=trees, half_life=half_life), console)
