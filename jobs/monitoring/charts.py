"""Pictures of a report, as SVG that stands in a page and takes its colours."""

import io
import re
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jobs.monitoring.drift import Drift
from jobs.monitoring.thresholds import Measure

MOST_BINS = 16
"""Of zones, those whose shares have changed most."""
_INK, _NOW, _BEFORE, _BEYOND = "#010101", "#020202", "#030303", "#040404"
_COLOURS = {
    _INK: "var(--ink)",
    _NOW: "var(--now)",
    _BEFORE: "var(--before)",
    _BEYOND: "var(--beyond)",
}
"""What Matplotlib is told → what the page calls it, by day and by night."""
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ridecast",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
}


_ABOVE: dict[str, Any] = {
    "frameon": False,
    "ncols": 2,
    "loc": "lower right",
    "bbox_to_anchor": (1, 1),
    "borderaxespad": 0,
}
"""A legend that hides nothing."""


def psi(measures: list[Measure]) -> str:
    """Every feature's drift beside its limit."""
    named = [measure for measure in measures if measure.name.startswith("drift/psi/")][::-1]
    with rc_context(_STYLE):
        figure, axes = _figure(0.32 * len(named) + 0.9)
        colours = [_BEYOND if measure.exceeded else _NOW for measure in named]
        axes.barh(range(len(named)), [measure.value for measure in named], color=colours, height=0.55)
        for place, measure in enumerate(named):
            axes.plot([measure.limit] * 2, [place - 0.4, place + 0.4], color=_INK, linewidth=1.5)
        axes.set_yticks(range(len(named)), [measure.name.rpartition("/")[2] for measure in named])
        axes.set_xlabel("population stability index; a line is the limit")
        return _svg(figure, "; ".join(f"{each.name} {each.value:.3f} of {each.limit:.3f}" for each in named))


def shares(drift: Drift) -> str:
    """A feature's bins, before and now."""
    bins = np.arange(len(drift.labels))
    lying = drift.name.endswith("LocationID")
    if lying:
        changed = np.abs(drift.now - drift.before)
        bins = np.sort(np.argsort(-changed, kind="stable")[:MOST_BINS])
    labels = [drift.labels[place].removesuffix(" h") for place in bins]
    with rc_context(_STYLE):
        # Names lie beside their bars, numbers stand below them.
        figure, axes = _figure(0.24 * len(bins) + 0.6 if lying else 2.6)
        places = -np.arange(len(bins)) if lying else np.arange(len(bins))
        bars = axes.barh if lying else axes.bar
        bars(places + (0.2 if lying else -0.2), drift.before[bins] * 100, 0.4, color=_BEFORE, label="before")
        bars(places + (-0.2 if lying else 0.2), drift.now[bins] * 100, 0.4, color=_NOW, label="now")
        if lying:
            axes.set_yticks(places, labels)
            axes.set_xlabel("% of rides")
        else:
            long = max(map(len, labels)) > 4
            axes.set_xticks(places, labels, rotation=40 if long else 0, ha="right" if long else "center")
            axes.set_ylabel("% of rides")
        axes.legend(**_ABOVE)
        return _svg(figure, f"Shares of {drift.name} before and now; most of the change is in {drift.most}")


def errors_by_hour(hours: pd.DataFrame) -> str:
    """RMSE and bias over the day."""
    with rc_context(_STYLE):
        figure, axes = _figure(2.6)
        axes.bar(hours.index, hours.rmse, color=_NOW, width=0.7, label="RMSE")
        axes.plot(
            hours.index, hours.bias, color=_BEYOND, marker="o", markersize=3, label="predicted − actual"
        )
        axes.axhline(0, color=_INK, linewidth=0.8)
        axes.set_xticks(range(0, 24, 3))
        axes.set(xlabel="hour of the pick-up", ylabel="minutes")
        axes.legend(**_ABOVE)
        worst = hours.index[int(hours.rmse.argmax())]
        return _svg(figure, f"RMSE by hour: the most is {hours.rmse.max():.2f} minutes at {worst} h")


def _figure(inches: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, inches), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure, described: str) -> str:
    """An `<svg>` that is as wide as its place, and says to those who do not see it what it shows."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()[file.getvalue().index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    # Pictures on one page would have ids in common; only those that something refers to are kept.
    svg = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", svg)
    for told, called in _COLOURS.items():
        svg = svg.replace(told, called)
    box = re.search(r'viewBox="[^"]+"', svg)
    assert box, "Matplotlib writes one"
    inside = svg[svg.index(">") + 1 :]
    label = escape(described)
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {names} {box[0]} role="img" aria-label="{label}">{inside}'
