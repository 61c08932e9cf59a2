"""python -m jobs train: trains a model on months of trips and registers it."""

import click
from rich.console import Console

from jobs.commands.options import MultiValueCommand
from jobs.settings import MODEL_NAME, Settings
from jobs.storage.tables import require_exists
from jobs.training.hyperparameters import Hyperparameters


@click.command(cls=MultiValueCommand)
@click.option(
    "--trips",
    multiple=True,
    required=True,
    metavar="URI…",
    help="Months of trips as Parquet or CSV, files or folders of part files: paths, gs://… or https://….",
)
@click.option(
    "--validate",
    multiple=True,
    metavar="URI…",
    help="Months to evaluate the model on.  [default: the last fifth of the rides is held out]",
)
@click.option("--name", default=MODEL_NAME, show_default=True, help="The registered model.")
@click.option(
    "--trees",
    default=Hyperparameters.trees,
    show_default=True,
    type=click.IntRange(1),
    help="How many trees to fit.",
)
@click.option(
    "--half-life",
    default=Hyperparameters.half_life,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Age in days at which a ride has half the weight.",
)
def command(
    trips: tuple[str, ...], validate: tuple[str, ...], name: str, trees: int, half_life: float
) -> None:
    """Train a model on trips, evaluate it on held-out rides, and register it as a new version.

    Nothing is registered unless ONNX and scikit-learn give the same predictions for all held-out rides.
    """
    settings = Settings.read()
    require_exists(*trips, *validate)
    # They take seconds to import, for which neither `--help` nor a missing file should wait.
    from jobs.training.data import load_training_data
    from jobs.training.train import train

    console = Console(highlight=False, soft_wrap=True)
    months = load_training_data(trips, validate, console)
    train(settings, months, name, Hyperparameters(trees=trees, half_life=half_life), console)
