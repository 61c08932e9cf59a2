"""Pictures of a model's errors."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jobs.trips.records import LONGEST_MINUTES
from jobs.ui.palette import BLUE, GREY, ORANGE

Minutes = npt.NDArray[np.float64]


def predicted_against_actual(predicted: Minutes, actual: Minutes) -> Figure:
    """Where rides lie; on the diagonal, prediction and ride agree."""
    figure, axes = _figure("Predicted against actual duration", "actual, minutes", "predicted, minutes")
    extent = (0.0, LONGEST_MINUTES, 0.0, LONGEST_MINUTES)
    density = axes.hexbin(actual, predicted, gridsize=60, extent=extent, bins="log", mincnt=1, cmap="Blues")
    axes.plot([0, LONGEST_MINUTES], [0, LONGEST_MINUTES], color=ORANGE, linewidth=1)
    axes.set_aspect("equal")
    figure.colorbar(density, ax=axes, label="rides")
    return figure


def residuals(predicted: Minutes, actual: Minutes) -> Figure:
    """How often predictions are off by how much."""
    off = predicted - actual
    figure, axes = _figure("Residuals", "predicted − actual, minutes", "rides")
    axes.hist(off, bins=np.arange(-30.5, 31.5).tolist(), color=BLUE)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.axvline(float(off.mean()), color=ORANGE, linewidth=1, label=f"mean {off.mean():+.2f}")
    axes.legend(frameon=False)
    return figure


def error_by_hour(hours: pd.DataFrame) -> Figure:
    """RMSE in each hour of the day.

    Args:
        hours: as `Evaluation.by_hour` gives it.
    """
    figure, axes = _figure("Error by hour of the pick-up", "hour", "RMSE, minutes")
    without = hours.rmse_without_pickup_time
    axes.bar(hours.index, without, color=ORANGE, alpha=0.45, label="without pick-up time")
    axes.bar(hours.index, hours.rmse, width=0.5, color=BLUE, label="with pick-up time")
    axes.set_xticks(range(0, 24, 3))
    axes.legend(frameon=False)
    return figure


def importances(minutes: "pd.Series[float]") -> Figure:
    """Columns by what the model loses without them.

    Args:
        minutes: by which the RMSE grows, by column's name.
    """
    figure, axes = _figure("Importance of the columns", "RMSE grows by, minutes", "")
    axes.barh(minutes.index[::-1], minutes.to_numpy()[::-1], color=BLUE)
    return figure


def _figure(title: str, across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 5), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=across, ylabel=up)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
