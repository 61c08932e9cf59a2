"""The figures that documents quote from a run, between `<!-- speed:NAME -->` and `<!-- /speed:NAME -->`."""

import re
from collections.abc import Iterable
from pathlib import Path

from benchmarks.batch import COURSE_BATCH, RIDECAST_BEAM, RIDECAST_SCORE
from benchmarks.report import format_number, table
from benchmarks.results import (
    Results,
    cpu_seconds,
    optional_median,
    p50,
    peak_mb,
    pss_mb,
    rate,
    ratio,
    startup_seconds,
    total_seconds,
)
from benchmarks.servers import (
    ASGI_ECHO,
    BENTOML,
    COURSE_SKLEARN,
    HTTP_PEERS,
    MLFLOW_SERVE,
    PLAIN_EVENTS_ONNX,
    RIDECAST,
    RIDECAST_EVENTS,
)
from functions.errors import RidecastError
from jobs.settings import PROJECT_ROOT
from jobs.ui.markdown import fill_placeholders

DOCUMENTS = (PROJECT_ROOT / "README.md", PROJECT_ROOT / "docs" / "choosing.md")
METRICS = {
    "predict-start": (RIDECAST, startup_seconds),
    "predict-rate": (RIDECAST, rate(8)),
    "predict-p50": (RIDECAST, p50(8)),
    "events-rate": (RIDECAST_EVENTS, rate(32)),
    "events-p50": (RIDECAST_EVENTS, p50(1)),
    "plain-events-rate": (PLAIN_EVENTS_ONNX, rate(32)),
    "bentoml-rate": (BENTOML, rate(8)),
    "mlflow-rate": (MLFLOW_SERVE, rate(8)),
    "score-seconds": (RIDECAST_SCORE, total_seconds),
    "score-mb": (RIDECAST_SCORE, peak_mb),
    "course-seconds": (COURSE_BATCH, total_seconds),
    "course-mb": (COURSE_BATCH, peak_mb),
}
"""Row and metric of each figure that stands alone, by NAME."""


class UnknownFigure(RidecastError):
    """A document quotes a figure that a run does not have."""


def figures(results: Results) -> dict[str, str]:
    """All figures that can be quoted, by `speed:NAME`: medians of the rounds, and README's table."""
    numbers = {
        name: optional_median(results.row(row).values(metric)) for name, (row, metric) in METRICS.items()
    }
    numbers["ride-us"] = optional_median(results.in_process_us("one", "whole"))
    numbers["instances-ms"] = optional_median(each / 1000 for each in results.in_process_us("many", "whole"))
    numbers["beam-ratio"] = ratio(results.row(RIDECAST_SCORE), results.row(RIDECAST_BEAM), cpu_seconds)
    quoted = {name: format_number(number) for name, number in numbers.items()}
    return {f"speed:{name}": text for name, text in (quoted | {"servers": _servers(results)}).items()}


def write_figures(results: Results, documents: Iterable[Path] = DOCUMENTS) -> None:
    """Updates the figures that documents quote.

    Raises:
        UnknownFigure: a document has a marker with an unknown name.
        PlaceholderNotFound: a document is missing, or a marker has no end.
    """
    known = figures(results)
    for document in documents:
        names = set(re.findall(r"<!-- (speed:.*?) -->", document.read_text()))
        if unknown := names - known.keys():
            raise UnknownFigure(
                f"{document} quotes {', '.join(sorted(unknown))}: use one of {', '.join(sorted(known))}"
            )
        fill_placeholders(document, {name: known[name] for name in names})


def _servers(results: Results) -> str:
    """The servers that answer a ride with the ONNX model, fastest first, below the framework's echo."""
    metrics = {
        "first answer, s": startup_seconds,
        "requests/s at 8 connections": rate(8),
        "p50, ms": p50(8),
        "memory, MB": pss_mb,
    }
    names = (ASGI_ECHO, RIDECAST, *(name for name in HTTP_PEERS if name != COURSE_SKLEARN))
    rows = [
        (name, [optional_median(results.row(name).values(metric)) for metric in metrics.values()])
        for name in names
    ]
    rows[1:] = sorted(rows[1:], key=lambda row: row[1][1] or 0.0, reverse=True)
    return table(("server", *metrics), [(name, *map(format_number, numbers)) for name, numbers in rows])
