"""The plot of a run: start-up time, requests and events per second, with a bar for each server."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report import format_number
from benchmarks.results import Metric, Results, Row, optional_median, rate, startup_seconds
from benchmarks.servers import HTTP_LIMITS, HTTP_PEERS, PUBSUB_PEERS, RIDECAST, RIDECAST_EVENTS
from jobs.ui.palette import BLUE, GREY, ORANGE

BAR_INCHES = 0.32
LIMIT = "#b9c3cc"
"""Colour of servers that compute nothing."""


def plot(results: Results) -> Figure:
    """Bars of medians with lines from minimum to maximum, for all servers that were measured."""
    emulator = [row.name for row in results.emulator]
    http = [RIDECAST, *HTTP_LIMITS, *HTTP_PEERS]
    panels: list[tuple[str, Metric, list[Row]]] = [
        (
            "from process start to the first correct answer, seconds",
            startup_seconds,
            _measured(results, [RIDECAST_EVENTS, *http, *PUBSUB_PEERS], startup_seconds),
        ),
        ("requests/s at 8 connections", rate(8), _measured(results, http, rate(8))),
        (
            "events/s at 32 in flight",
            rate(32),
            _measured(results, [RIDECAST_EVENTS, *PUBSUB_PEERS, *emulator[:1]], rate(32)),
        ),
    ]
    panels = [panel for panel in panels if panel[2]]
    heights = [len(rows) + 2 for _, _, rows in panels]
    figure = Figure(figsize=(8, BAR_INCHES * sum(heights)), dpi=110, layout="constrained")
    subplots = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, (title, metric, rows) in zip(subplots, panels, strict=True):
        _bars(axes, title, metric, rows)
    return figure


def _measured(results: Results, names: Sequence[str], metric: Metric) -> list[Row]:
    rows = [results.row(name) for name in names]
    return [row for row in rows if row.values(metric)]


def _bars(axes: Axes, title: str, metric: Metric, rows: Sequence[Row]) -> None:
    values = [row.values(metric) for row in rows]
    medians = [optional_median(each) or 0.0 for each in values]
    spread = [
        [one - min(each) for one, each in zip(medians, values, strict=True)],
        [max(each) - one for one, each in zip(medians, values, strict=True)],
    ]
    bars = axes.barh(
        [_plain(row.name) for row in rows],
        medians,
        xerr=spread,
        color=[_colour(row.name) for row in rows],
        ecolor=GREY,
        error_kw={"linewidth": 1},
    )
    axes.bar_label(bars, [format_number(one) for one in medians], padding=6)
    axes.set_title(title, loc="left", fontsize=10)
    axes.invert_yaxis()
    axes.margins(x=0.16)
    axes.spines[["top", "right"]].set_visible(False)


def _plain(name: str) -> str:
    return name.replace("`", "").replace("*", "")


def _colour(name: str) -> str:
    if name in (RIDECAST, RIDECAST_EVENTS):
        return BLUE
    return ORANGE if name in (*HTTP_PEERS, *PUBSUB_PEERS) else LIMIT
