"""How large a model is worth its time: error on a month not seen, against microseconds for one ride.

    python -m benchmarks.model_size --trips MONTH --validate MONTH [--validate MONTH] [--docs docs/decisions]

The models are timed in turns, so that a machine which slows down slows all of them.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median

import click
import msgspec
import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track

from functions.codecs import read_rides
from functions.features import RideColumns
from functions.mlmodel import Target
from functions.model import Model
from functions.onnx_model import OnnxScorer, open_session
from functions.releases import Release
from jobs.metrics import Errors
from jobs.training.onnx_export import export
from jobs.training.pipeline import COLUMNS, Minutes, Parameters, fit_pipeline, new_pipeline
from jobs.trips.cleaning import clean_trips, read_trips
from jobs.trips.records import columns_of, without_pickup_time

TREES = (40, 60, 80, 100, 150, 200, 300)
LEAVES = (31, 63, 127, 255)
STEP = Parameters.trees * Parameters.learning_rate
"""Trees × learning rate is kept: fewer trees take larger steps …"""
LARGEST_RATE = 0.3
"""… up to here, above which the error grows again."""
ROUNDS = 25
TABLE_ROWS = 1000
RIDE_COLUMNS = ["PULocationID", "DOLocationID", "trip_distance", "pickup_datetime"]


@dataclass
class Size:
    """One size of the model, and what was measured of it."""

    parameters: Parameters
    model: Model
    rmse: float
    """Minutes, with pick-up times; the mean of the months."""
    rmse_untimed: float
    ride_us: float = 0.0
    """Microseconds for one ride, from bytes to bytes."""
    table_ms: float = 0.0
    """Milliseconds for a table of 1,000 rides."""


@click.command()
@click.option("--trips", multiple=True, required=True, metavar="PLACE", help="Months to learn from.")
@click.option("--validate", multiple=True, required=True, metavar="PLACE", help="Months to judge on.")
@click.option("--docs", type=click.Path(path_type=Path), help="Folder for model-size.md and .svg.")
def command(trips: tuple[str, ...], validate: tuple[str, ...], docs: Path | None) -> None:
    """Error against time for models of several sizes."""
    console = Console(highlight=False, soft_wrap=True)
    training = clean_trips(read_trips(trips)).trips
    months = [clean_trips(read_trips([place])).trips for place in validate]
    choices = [
        Parameters(trees=trees, leaves=leaves, learning_rate=min(STEP / trees, LARGEST_RATE))
        for trees, leaves in product(TREES, LEAVES)
    ]
    sizes = [fitted(each, training, months) for each in track(choices, "fitting", console=console)]
    time_all(sizes, months[0].head(TABLE_ROWS))
    table = as_table(sizes)
    console.print(table)
    if docs:
        (docs / "model-size.md").write_text(table + "\n")
        picture(sizes).savefig(docs / "model-size.svg", metadata={"Date": None})


def fitted(parameters: Parameters, training: pd.DataFrame, months: Sequence[pd.DataFrame]) -> Size:
    """A model of this size and its errors."""
    pipeline = fit_pipeline(new_pipeline(parameters), training, parameters.half_life)
    scorer = OnnxScorer(open_session(export(pipeline).SerializeToString()), COLUMNS)
    model = Model(Release(name="size", version="1", location=""), Target(), scorer)

    def rmse(rides: RideColumns, minutes: Minutes) -> float:
        return Errors.of(model.predict(rides), minutes).rmse

    timed = [rmse(columns_of(month), month.duration.to_numpy()) for month in months]
    untimed = [rmse(without_pickup_time(columns_of(month)), month.duration.to_numpy()) for month in months]
    return Size(parameters, model, sum(timed) / len(timed), sum(untimed) / len(untimed))


def time_all(sizes: Sequence[Size], trips: pd.DataFrame) -> None:
    """Notes each model's time: the median of rounds in which all take their turn.

    A ride is read, predicted and written as in the function: in a loop of its own a model finds all its
    trees in the processor's cache and seems three times as fast.
    """
    rides = trips[RIDE_COLUMNS].astype({"pickup_datetime": str}).to_dict("records")
    bodies = [msgspec.json.encode(ride) for ride in rides]
    table = columns_of(trips)
    alone: list[list[float]] = [[] for _ in sizes]
    together: list[list[float]] = [[] for _ in sizes]
    for _ in range(ROUNDS):
        for size, one_by_one, whole in zip(sizes, alone, together, strict=True):
            began = time.perf_counter()
            for body in bodies:
                asked = read_rides(body, "application/json")
                msgspec.json.encode(asked.write(size.model.predict_rides(asked.rides)))
            one_by_one.append((time.perf_counter() - began) / len(bodies) * 1e6)
            began = time.perf_counter()
            size.model.predict(table)
            whole.append((time.perf_counter() - began) * 1e3)
    for size, one_by_one, whole in zip(sizes, alone, together, strict=True):
        size.ride_us, size.table_ms = median(one_by_one), median(whole)


def as_table(sizes: Sequence[Size]) -> str:
    """Markdown, the fastest first."""
    rows = [
        "| trees | leaves | learning rate | RMSE | without pick-up time | one ride, µs | 1,000 rides, ms |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for size in sorted(sizes, key=lambda size: size.table_ms):
        each = size.parameters
        rows.append(
            f"| {each.trees} | {each.leaves} | {each.learning_rate:.2f} | {size.rmse:.3f} "
            f"| {size.rmse_untimed:.3f} | {size.ride_us:.1f} | {size.table_ms:.2f} |"
        )
    return "\n".join(rows)


def picture(sizes: Sequence[Size]) -> Figure:
    """Error against time for one ride; a line for each number of leaves, a point for each of trees."""
    figure = Figure(figsize=(7, 4.5), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for leaves in LEAVES:
        line = [size for size in sizes if size.parameters.leaves == leaves]
        axes.plot([s.ride_us for s in line], [s.rmse for s in line], marker="o", label=f"{leaves} leaves")
        for size in line:
            axes.annotate(
                str(size.parameters.trees),
                (size.ride_us, size.rmse),
                fontsize=8,
                xytext=(3, 4),
                textcoords="offset points",
            )
    chosen = [
        s for s in sizes if (s.parameters.trees, s.parameters.leaves) == (Parameters.trees, Parameters.leaves)
    ]
    for size in chosen:
        axes.scatter(
            [size.ride_us], [size.rmse], s=140, facecolors="none", edgecolors="black", label="chosen"
        )
    axes.set(
        xlabel="one ride from bytes to bytes, µs",
        ylabel="RMSE on months not seen, minutes",
        title="What a larger model brings; points are labelled with their trees",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    command()
