"""docs/scaling.md and its picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from jobs.capacity_study.quotas import Limit
from jobs.capacity_study.scenarios import Scale
from jobs.ui.palette import BLUE, GREY, ORANGE

DOCUMENT, PICTURE = "scaling.md", "scaling.svg"


def draw(folder: Path, scales: Mapping[str, Sequence[Scale]], limits: Sequence[Limit]) -> Path:
    """Draws instances, p99 and cost over the rate.

    Args:
        scales: by function.
        limits: of the first function.
    """
    figure = Figure(figsize=(9, 7.5), layout="constrained")
    instances, waiting, cost = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))
    for (function, each), colour in zip(scales.items(), (BLUE, ORANGE), strict=False):
        rates = [scale.rate for scale in each]
        outcomes = [scale.planned.outcome for scale in each]
        instances.plot(rates, [each.peak_instances for each in outcomes], "o-", color=colour, label=function)
        waiting.plot(rates, [scale.planned.latency_ms(0.99) for scale in each], "o-", color=colour)
        waiting.plot(rates, [scale.planned.latency_ms(0.5) for scale in each], "o:", color=colour)
        cost.plot(rates, [scale.planned.dollars_per_million for scale in each], "o-", color=colour)
    _label(instances, "instances at the peak")
    _label(waiting, "p99 and p50 (dotted), ms")
    _label(cost, "dollars a million, messages too")
    waiting.set_yscale("linear")
    waiting.set_ylim(bottom=0)
    cost.set_xlabel("requests or events a second, on average over a day of New York's taxis")
    for limit in limits:
        instances.axvline(limit.rate, color=GREY, linewidth=0.8, linestyle="--")
        instances.annotate(
            limit.label,
            (limit.rate, 0.3),
            xycoords=("data", "axes fraction"),
            xytext=(-2, 4),
            textcoords="offset points",
            rotation=90,
            ha="right",
            va="bottom",
            fontsize=8,
            color=GREY,
        )
    instances.legend(frameon=False, loc="upper left")
    path = folder / PICTURE
    # The same figures give the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": "ridecast", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
    return path


def _label(axes: Axes, up: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylabel(up)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.12g}"))
    axes.spines[["top", "right"]].set_visible(False)
