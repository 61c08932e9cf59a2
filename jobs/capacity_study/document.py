"""The document docs/scaling.md and its plot."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from jobs.capacity_study.quotas import Bottleneck
from jobs.capacity_study.scenarios import Scale
from jobs.ui.palette import BLUE, GREY, ORANGE

DOCUMENT, PICTURE = "scaling.md", "scaling.svg"
MIN_RATIO = 1.5
"""Rates that differ by less are too close in the plot for a label each."""


def draw(folder: Path, scales: Mapping[str, Sequence[Scale]], limits: Sequence[Bottleneck]) -> Path:
    """Plots instances, latency and cost against the rate; returns the file.

    Args:
        scales: by function.
        limits: of the first function, shown as vertical lines.
    """
    figure = Figure(figsize=(9, 7.5), layout="constrained")
    instances, latency, cost = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))
    for (function, each), colour in zip(scales.items(), (BLUE, ORANGE), strict=False):
        rates = [scale.rate for scale in each]
        peaks = [scale.scenario.result.peak_instances for scale in each]
        instances.plot(rates, peaks, "o-", color=colour, label=function)
        latency.plot(rates, [scale.scenario.latency_ms(0.99) for scale in each], "o-", color=colour)
        latency.plot(rates, [scale.scenario.latency_ms(0.5) for scale in each], "o:", color=colour)
        cost.plot(rates, [scale.scenario.dollars_per_million for scale in each], "o-", color=colour)
    _label(instances, "peak instances")
    _label(latency, "p99 and p50 (dotted), ms")
    _label(cost, "$ a million, with messages")
    latency.set_yscale("linear")
    latency.set_ylim(bottom=0)
    cost.set_xlabel("mean requests or events a second, over a day of New York's taxis")
    text_style: dict[str, Any] = {"rotation": 90, "ha": "right", "va": "top", "fontsize": 9, "color": GREY}
    for limit in limits:
        instances.axvline(limit.rate, color=GREY, linewidth=0.8, linestyle="--")
    for rate, label in limit_labels(limits):
        instances.annotate(
            label,
            (rate, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-2, 0),
            textcoords="offset points",
            **text_style,
        )
    instances.legend(frameon=False, loc="upper left")
    path = folder / PICTURE
    # Makes the file reproducible.
    with matplotlib.rc_context({"svg.hashsalt": "ridecast", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
    return path


def limit_labels(limits: Sequence[Bottleneck]) -> list[tuple[float, str]]:
    """Where to write which label: limits whose labels would lie over each other share one, at the lowest."""
    labels: list[tuple[float, str]] = []
    for limit in limits:
        if labels and limit.rate < labels[-1][0] * MIN_RATIO:
            rate, label = labels.pop()
            labels.append((rate, f"{label}, {limit.label}"))
        else:
            labels.append((limit.rate, limit.label))
    return labels


def _label(axes: Axes, label: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylabel(label)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.12g}"))
    axes.spines[["top", "right"]].set_visible(False)
