"""The trade-off of model size: error on unseen months against the time of one prediction.

    python -m benchmarks.model_size --trips MONTH --validate MONTH [--validate MONTH] [--docs docs/decisions]

The models are timed in turns, so that a change in the machine's speed affects all of them.
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

from functions.codecs import decode_request
from functions.features import RideColumns
from functions.mlmodel import PredictionTarget
from functions.model import Model
from functions.onnx_model import OnnxScorer, open_session
from functions.releases import Release
from jobs.metrics import Minutes, RegressionMetrics
from jobs.training.hyperparameters import Hyperparameters
from jobs.training.onnx_export import export
from jobs.training.pipeline import COLUMNS, fit_pipeline, new_pipeline
from jobs.trips.cleaning import clean_trips, read_trips
from jobs.trips.records import to_ride_columns, without_pickup_time
from jobs.ui.markdown import markdown_table

TREES = (40, 60, 80, 100, 150, 200, 300)
LEAVES = (31, 63, 127, 255)
STEP = Hyperparameters.trees * Hyperparameters.learning_rate
"""Trees × learning rate, which is constant: fewer trees take larger steps …"""
LARGEST_RATE = 0.3
"""… up to this learning rate, above which the error grows again."""
ROUNDS = 25
TABLE_ROWS = 1000
RIDE_COLUMNS = ["PULocationID", "DOLocationID", "trip_distance", "pickup_datetime"]


@dataclass
class Size:
    """Measurements of one model size."""

    parameters: Hyperparameters
    model: Model
    rmse: float
    """Minutes, with pick-up times; mean of the months."""
    rmse_without_time: float
    ride_us: float = 0.0
    """Microseconds for one ride, from request bytes to response bytes."""
    table_ms: float = 0.0
    """Milliseconds for a table of 1,000 rides."""


@click.command()
@click.option("--trips", multiple=True, required=True, metavar="URI", help="Months for training.")
@click.option("--validate", multiple=True, required=True, metavar="URI", help="Months for validation.")
@click.option("--docs", type=click.Path(path_type=Path), help="Folder for model-size.md and .svg.")
def command(trips: tuple[str, ...], validate: tuple[str, ...], docs: Path | None) -> None:
    """Measure error and prediction time of models of several sizes."""
    console = Console(highlight=False, soft_wrap=True)
    training = clean_trips(read_trips(trips)).trips
    months = [clean_trips(read_trips([uri])).trips for uri in validate]
    candidates = [
        Hyperparameters(trees=trees, leaves=leaves, learning_rate=min(STEP / trees, LARGEST_RATE))
        for trees, leaves in product(TREES, LEAVES)
    ]
    sizes = [evaluate(each, training, months) for each in track(candidates, "fitting", console=console)]
    time_in_turns(sizes, months[0].head(TABLE_ROWS))
    table = markdown(sizes)
    console.print(table)
    if docs:
        (docs / "model-size.md").write_text(table)
        plot(sizes).savefig(docs / "model-size.svg", metadata={"Date": None})


def evaluate(parameters: Hyperparameters, training: pd.DataFrame, months: Sequence[pd.DataFrame]) -> Size:
    """Trains a model of this size and measures its errors."""
    pipeline = fit_pipeline(new_pipeline(parameters), training, parameters.half_life)
    scorer = OnnxScorer(open_session(export(pipeline).SerializeToString()), COLUMNS)
    model = Model(Release(name="size", version="1", location=""), PredictionTarget(), scorer)

    def rmse(rides: RideColumns, minutes: Minutes) -> float:
        return RegressionMetrics.compute(model.predict(rides), minutes).rmse

    with_time = [rmse(to_ride_columns(month), month.duration.to_numpy()) for month in months]
    without_time = [
        rmse(without_pickup_time(to_ride_columns(month)), month.duration.to_numpy()) for month in months
    ]
    return Size(parameters, model, sum(with_time) / len(with_time), sum(without_time) / len(without_time))


def time_in_turns(sizes: Sequence[Size], trips: pd.DataFrame) -> None:
    """Sets the times of all models: medians of rounds in which they take turns.

    Each ride is decoded, predicted and encoded as in the function: in a loop of predictions alone, the trees
    would stay in the processor's cache and the model would seem three times as fast.
    """
    rides = trips[RIDE_COLUMNS].astype({"pickup_datetime": str}).to_dict("records")
    bodies = [msgspec.json.encode(ride) for ride in rides]
    table = to_ride_columns(trips)
    ride_times: list[list[float]] = [[] for _ in sizes]
    table_times: list[list[float]] = [[] for _ in sizes]
    for _ in range(ROUNDS):
        for size, of_ride, of_table in zip(sizes, ride_times, table_times, strict=True):
            start = time.perf_counter()
            for body in bodies:
                request = decode_request(body, "application/json")
                msgspec.json.encode(request.encode(size.model.predict_rides(request.rides)))
            of_ride.append((time.perf_counter() - start) / len(bodies) * 1e6)
            start = time.perf_counter()
            size.model.predict(table)
            of_table.append((time.perf_counter() - start) * 1e3)
    for size, of_ride, of_table in zip(sizes, ride_times, table_times, strict=True):
        size.ride_us, size.table_ms = median(of_ride), median(of_table)


def markdown(sizes: Sequence[Size]) -> str:
    """A Markdown table, fastest model first."""
    rows = [
        {
            "trees": f"{size.parameters.trees}",
            "leaves": f"{size.parameters.leaves}",
            "learning rate": f"{size.parameters.learning_rate:.2f}",
            "RMSE": f"{size.rmse:.3f}",
            "without pick-up time": f"{size.rmse_without_time:.3f}",
            "one ride, µs": f"{size.ride_us:.1f}",
            "1,000 rides, ms": f"{size.table_ms:.2f}",
        }
        for size in sorted(sizes, key=lambda size: size.table_ms)
    ]
    return markdown_table(list(rows[0]), [list(row.values()) for row in rows], right=rows[0])


def plot(sizes: Sequence[Size]) -> Figure:
    """Plots error against time of one ride; one line per number of leaves, one point per number of trees."""
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
        s
        for s in sizes
        if (s.parameters.trees, s.parameters.leaves) == (Hyperparameters.trees, Hyperparameters.leaves)
    ]
    for size in chosen:
        axes.scatter(
            [size.ride_us], [size.rmse], s=140, facecolors="none", edgecolors="black", label="chosen"
        )
    axes.set(
        xlabel="one ride, request bytes to response bytes, µs",
        ylabel="RMSE on unseen months, minutes",
        title="Error and time by model size; points are labelled with their number of trees",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    command()
