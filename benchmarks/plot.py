"""The picture of a run: start, requests and events a second, a bar for each server."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from benchmarks.report import short
from benchmarks.results import Figure, Results, Row, first_seconds, middle, rate
from benchmarks.servers import LIMITS_OVER_HTTP, PEERS_OVER_HTTP, PEERS_OVER_PUBSUB, RIDECAST, RIDECAST_EVENTS
from jobs.ui.palette import BLUE, GREY, ORANGE

BAR_INCHES = 0.32
LIMIT = "#b9c3cc"
"""Colour of what computes nothing."""


def picture(results: Results) -> Picture:
    """Bars of medians with lines from the least to the most; what failed has none."""
    pipes = [row.name for row in results.pipes]
    http = [RIDECAST, *LIMITS_OVER_HTTP, *PEERS_OVER_HTTP]
    panels: list[tuple[str, Figure, list[Row]]] = [
        (
            "from the start to the first right answer, seconds",
            first_seconds,
            _measured(results, [RIDECAST_EVENTS, *http, *PEERS_OVER_PUBSUB], first_seconds),
        ),
        ("requests/s at 8 connections", rate(8), _measured(results, http, rate(8))),
        (
            "events/s at 32 in flight",
            rate(32),
            _measured(results, [RIDECAST_EVENTS, *PEERS_OVER_PUBSUB, *pipes[:1]], rate(32)),
        ),
    ]
    panels = [panel for panel in panels if panel[2]]
    heights = [len(rows) + 2 for _, _, rows in panels]
    figure = Picture(figsize=(8, BAR_INCHES * sum(heights)), dpi=110, layout="constrained")
    every = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, (title, value, rows) in zip(every, panels, strict=True):
        _bars(axes, title, value, rows)
    return figure


def _measured(results: Results, names: Sequence[str], value: Figure) -> list[Row]:
    rows = [results.row(name) for name in names]
    return [row for row in rows if row.figures(value)]


def _bars(axes: Axes, title: str, value: Figure, rows: Sequence[Row]) -> None:
    numbers = [row.figures(value) for row in rows]
    middles = [middle(each) or 0.0 for each in numbers]
    spread = [
        [one - min(each) for one, each in zip(middles, numbers, strict=True)],
        [max(each) - one for one, each in zip(middles, numbers, strict=True)],
    ]
    bars = axes.barh(
        [_plain(row.name) for row in rows],
        middles,
        xerr=spread,
        color=[_colour(row.name) for row in rows],
        ecolor=GREY,
        error_kw={"linewidth": 1},
    )
    axes.bar_label(bars, [short(one) for one in middles], padding=6)
    axes.set_title(title, loc="left", fontsize=10)
    axes.invert_yaxis()
    axes.margins(x=0.16)
    axes.spines[["top", "right"]].set_visible(False)


def _plain(name: str) -> str:
    return name.replace("`", "").replace("*", "")


def _colour(name: str) -> str:
    if name in (RIDECAST, RIDECAST_EVENTS):
        return BLUE
    return ORANGE if name in (*PEERS_OVER_HTTP, *PEERS_OVER_PUBSUB) else LIMIT
