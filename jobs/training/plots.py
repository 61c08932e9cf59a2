"""Plots of a model's errors."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jobs.metrics import Minutes
from jobs.trips.records import MAX_TRIP_MINUTES
from jobs.ui.palette import BLUE, GREY, ORANGE


def predicted_against_actual(predicted: Minutes, actual: Minutes) -> Figure:
    """Density of rides; perfect predictions lie on the diagonal."""
    figure, axes = _figure("Predicted against actual duration", "actual, minutes", "predicted, minutes")
    extent = (0.0, MAX_TRIP_MINUTES, 0.0, MAX_TRIP_MINUTES)
    density = axes.hexbin(actual, predicted, gridsize=60, extent=extent, bins="log", mincnt=1, cmap="Blues")
    axes.plot([0, MAX_TRIP_MINUTES], [0, MAX_TRIP_MINUTES], color=ORANGE, linewidth=1)
    axes.set_aspect("equal")
    figure.colorbar(density, ax=axes, label="rides")
    return figure


def residuals(predicted: Minutes, actual: Minutes) -> Figure:
    """Histogram of predicted − actual."""
    errors = predicted - actual
    figure, axes = _figure("Residuals", "predicted − actual, minutes", "rides")
    axes.hist(errors, bins=np.arange(-30.5, 31.5).tolist(), color=BLUE)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.axvline(float(errors.mean()), color=ORANGE, linewidth=1, label=f"mean {errors.mean():+.2f}")
    axes.legend(frameon=False)
    return figure


def error_by_hour(hours: pd.DataFrame) -> Figure:
    """RMSE per hour of the day.

    Args:
        hours: as returned by `Evaluation.by_hour`.
    """
    figure, axes = _figure("Error by hour of the pick-up", "hour", "RMSE, minutes")
    without = hours.rmse_without_pickup_time
    axes.bar(hours.index, without, color=ORANGE, alpha=0.45, label="without pick-up time")
    axes.bar(hours.index, hours.rmse, width=0.5, color=BLUE, label="with pick-up time")
    axes.set_xticks(range(0, 24, 3))
    axes.legend(frameon=False)
    return figure


def importances(minutes: "pd.Series[float]") -> Figure:
    """Bar chart of the columns' importances.

    Args:
        minutes: as returned by `permutation_importances`.
    """
    figure, axes = _figure("Permutation importance", "RMSE increase when shuffled, minutes", "")
    axes.barh(minutes.index[::-1], minutes.to_numpy()[::-1], color=BLUE)
    return figure


def _figure(title: str, xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 5), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
