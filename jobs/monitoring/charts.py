"""Charts of a report, as inline SVG that uses the page's colours."""

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
from jobs.monitoring.thresholds import Check

MAX_BINS = 16
"""Zones shown: those whose shares have changed most."""
_INK, _CURRENT, _REFERENCE, _ALERT = "#010101", "#020202", "#030303", "#040404"
_COLOURS = {_INK: "ink", _CURRENT: "current", _REFERENCE: "reference", _ALERT: "alert"}
"""Placeholder colour in Matplotlib → CSS variable of the page, which has a light and a dark value."""
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ridecast",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
    "legend.frameon": False,
    "legend.loc": "lower right",
    "legend.borderaxespad": 0,
}
_LEGEND: dict[str, Any] = {"ncols": 2, "bbox_to_anchor": (1, 1)}
"""Puts the legend above the axes, where it hides nothing."""


def psi_chart(checks: list[Check]) -> str:
    """Bars of each feature's PSI, with its limit."""
    drifts = [check for check in checks if check.name.startswith("drift/psi/")][::-1]
    with rc_context(_STYLE):
        figure, axes = _figure(0.32 * len(drifts) + 0.9)
        colours = [_ALERT if check.failed else _CURRENT for check in drifts]
        axes.barh(range(len(drifts)), [check.value for check in drifts], color=colours, height=0.55)
        for y, check in enumerate(drifts):
            axes.plot([check.limit] * 2, [y - 0.4, y + 0.4], color=_INK, linewidth=1.5)
        axes.set_yticks(range(len(drifts)), [check.name.rpartition("/")[2] for check in drifts])
        axes.set_xlabel("population stability index; the line is the limit")
        values = (f"{check.name} {check.value:.3f}, limit {check.limit:.3f}" for check in drifts)
        return _svg(figure, "; ".join(values))


def shares_chart(drift: Drift) -> str:
    """Bars of a feature's bins, reference and current."""
    bins = np.arange(len(drift.labels))
    horizontal = drift.name.endswith("LocationID")
    if horizontal:
        change = np.abs(drift.current - drift.reference)
        bins = np.sort(np.argsort(-change, kind="stable")[:MAX_BINS])
    labels = [drift.labels[index].removesuffix(" h") for index in bins]
    with rc_context(_STYLE):
        figure, axes = _figure(0.24 * len(bins) + 0.6 if horizontal else 2.6)
        positions = -np.arange(len(bins)) if horizontal else np.arange(len(bins))
        bars, offset = (axes.barh, 0.2) if horizontal else (axes.bar, -0.2)
        bars(positions + offset, drift.reference[bins] * 100, 0.4, color=_REFERENCE, label="reference")
        bars(positions - offset, drift.current[bins] * 100, 0.4, color=_CURRENT, label="current")
        if horizontal:
            axes.set_yticks(positions, labels)
            axes.set_xlabel("% of rides")
        else:
            long = max(map(len, labels)) > 4
            axes.set_xticks(positions, labels, rotation=40 if long else 0, ha="right" if long else "center")
            axes.set_ylabel("% of rides")
        axes.legend(**_LEGEND)
        return _svg(figure, f"Shares of {drift.name}; largest change: {drift.largest_change}")


def hourly_error_chart(by_hour: pd.DataFrame) -> str:
    """RMSE and bias by hour of the day."""
    with rc_context(_STYLE):
        figure, axes = _figure(2.6)
        axes.bar(by_hour.index, by_hour.rmse, color=_CURRENT, width=0.7, label="RMSE")
        axes.plot(
            by_hour.index, by_hour.bias, color=_ALERT, marker="o", markersize=3, label="predicted − actual"
        )
        axes.axhline(0, color=_INK, linewidth=0.8)
        axes.set_xticks(range(0, 24, 3))
        axes.set(xlabel="hour of the pick-up", ylabel="minutes")
        axes.legend(**_LEGEND)
        worst = by_hour.index[int(by_hour.rmse.argmax())]
        return _svg(figure, f"RMSE by hour; the highest is {by_hour.rmse.max():.2f} minutes at {worst} h")


def _figure(inches: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, inches), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure, description: str) -> str:
    """A scalable `<svg>` element with a description for screen readers."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()[file.getvalue().index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    # Removes unused ids, because charts on one page would share them.
    svg = re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", svg)
    for placeholder, variable in _COLOURS.items():
        svg = svg.replace(placeholder, f"var(--{variable})")
    box = re.search(r'viewBox="[^"]+"', svg)
    assert box, "Matplotlib always writes a viewBox"
    content = svg[svg.index(">") + 1 :]
    namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {namespaces} {box[0]} role="img" aria-label="{escape(description)}">{content}'
