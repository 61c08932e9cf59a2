"""Markdown tables of a run, for the terminal and for docs/performance.md."""

import os
import platform
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from string import Template
from textwrap import shorten

from benchmarks.in_process import PARTS
from benchmarks.measure import CHECKED, CONNECTIONS, Plan
from benchmarks.results import (
    Metric,
    Results,
    Row,
    cpu_seconds,
    p50,
    p99,
    peak_mb,
    pss_mb,
    rate,
    ratio,
    startup_seconds,
    total_seconds,
)
from benchmarks.servers import ASGI_ECHO, PEERS, PUBSUB_PEERS, RIDECAST_EVENTS
from benchmarks.stages import MODEL, REST
from benchmarks.targets import MIN_ROUNDS, evaluate_targets
from jobs.settings import PROJECT_ROOT
from jobs.ui.markdown import markdown_table

TEMPLATE = Path(__file__).with_name("performance.template.md")
RIDECAST_PACKAGES = (
    "functions-framework",
    "starlette",
    "uvicorn",
    "onnxruntime",
    "numpy",
    "msgspec",
    "google-cloud-pubsub",
    "pyarrow",
)
"""Packages whose versions affect Ridecast's speed."""
EVENT_SERVERS = (RIDECAST_EVENTS, *PUBSUB_PEERS)
MAX_FAILURE_LENGTH = 160
"""Characters of an error message in a table."""
NOT_MEASURED = "–"
NO_EVENTS = "Not measured: the Pub/Sub emulator is not installed.\n"


class Tables:
    """The tables of one run."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._http = [row for row in results.servers if row.name not in EVENT_SERVERS]
        self._events = [row for row in results.servers if row.name in EVENT_SERVERS]

    def all(self) -> dict[str, str]:
        """Tables by their placeholder in the template."""
        return {
            "targets": self.targets(),
            "starts": self.starts(),
            "http": self.http(),
            "in_process": self.in_process(),
            "batch": self.batch(),
            "stages": self.stages(),
            "events": self.events() if self._events else NO_EVENTS,
        }

    def targets(self) -> str:
        """All targets with their verdicts."""
        enough_rounds = len(self._results.in_process) >= MIN_ROUNDS
        rows = []
        for target in evaluate_targets(self._results):
            missing = target.measured is None
            measured = "not measured" if missing else f"{format_number(target.measured)} {target.unit}"
            verdict = target.verdict if enough_rounds else "too few rounds"
            rows.append((target.claim, target.limit, measured, verdict))
        return table(("claim", "target", "measured", "verdict"), rows)

    def starts(self) -> str:
        """Start-up time, and memory afterwards."""
        echo = self._results.row(ASGI_ECHO)
        rows = []
        for row in self._results.servers:
            relative = ratio(row, echo, startup_seconds)
            times = NOT_MEASURED if relative is None else f"{relative:.1f}"
            rows.append(_cells(row, _cell(row, startup_seconds), times, _cell(row, pss_mb)))
        return table(("server", "first answer, s", "× ASGI echo", "memory, MB"), rows)

    def http(self) -> str:
        """Requests per second, and latencies."""
        return _loads("requests/s", self._http, CONNECTIONS[1])

    def events(self) -> str:
        """Events per second, and latencies; also of the emulator without a function."""
        return _loads("events/s", [*self._events, *self._results.emulator], CONNECTIONS[0])

    def in_process(self) -> str:
        """Time of one ride and of 1,000 instances, in total and by part."""

        def row(name: str, one: Sequence[float], many: Sequence[float]) -> tuple[str, str, str]:
            return name, _spread(one), _spread([microseconds / 1000 for microseconds in many])

        times, overhead = self._results.in_process_us, self._results.overhead_us
        rows = [
            row("**request bytes → response bytes**", times("one", "whole"), times("many", "whole")),
            row("everything but the model", overhead("one"), overhead("many")),
            *(row(part, times("one", part), times("many", part)) for part in PARTS),
        ]
        return table(("part", "one ride, µs", "1,000 instances, ms"), rows)

    def batch(self) -> str:
        """Duration, CPU time and peak memory of whole programs."""
        metrics = (total_seconds, cpu_seconds, peak_mb)
        rows = [_cells(row, *(_cell(row, metric) for metric in metrics)) for row in self._results.batch]
        return table(("program", "seconds", "CPU seconds", "peak memory, MB"), rows)

    def stages(self) -> str:
        """CPU time of batch scoring by stage."""
        stages, share = self._results.stages, self._results.share
        rows = [
            (stage, _spread([each[stage] for each in stages]), _spread([100 * each for each in share(stage)]))
            for stage in (MODEL, REST)
        ]
        return table(("stage", "seconds", "%"), rows)


def performance_page(results: Results, plan: Plan, trips: str, wrk: str, load_average: float) -> str:
    """The text of docs/performance.md.

    Args:
        trips: where they come from.
        wrk: its name and version.
        load_average: that of the machine before the run.
    """
    page = Template(TEMPLATE.read_text()).substitute(
        Tables(results).all(),
        machine=machine(),
        busy=f"{load_average:.2f}",
        date=datetime.now(UTC).date(),
        trips=re.sub(r"\S+/", "", trips),  # file names without folders
        wrk=wrk,
        versions=ridecast_versions(),
        others=peer_versions(),
        rounds=plan.rounds,
        checked=CHECKED,
        seconds=plan.seconds,
        rows=f"{plan.rows:,}",
    )
    return page.rstrip() + "\n"


def machine() -> str:
    """Cores, processor, system and Python."""
    return (
        f"{os.cpu_count()} cores, {_processor()}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def ridecast_versions() -> str:
    """Versions of the packages that affect Ridecast's speed."""
    return ", ".join(f"{package} {version(package)}" for package in RIDECAST_PACKAGES)


def peer_versions() -> str:
    """Versions of the tools: the first requirement of each peer."""
    names = sorted((PROJECT_ROOT / PEERS).glob("*/requirements.in"))
    pinned = {path.read_text().split()[0] for path in names}
    return ", ".join(sorted(pinned)).replace("==", " ")


def _loads(unit: str, rows: Sequence[Row], connections: int) -> str:
    metrics = {f"{unit} at {count}": rate(count) for count in CONNECTIONS}
    metrics |= {f"p50 ms at {connections}": p50(connections), f"p99 ms at {connections}": p99(connections)}
    lines = [_cells(row, *(_cell(row, metric) for metric in metrics.values())) for row in rows]
    return table(("server", *metrics), lines)


def _cells(row: Row, *cells: str) -> Sequence[str]:
    if row.samples and not row.failure:
        return row.name, *cells
    reason = f"not measured: {shorten(row.failure, MAX_FAILURE_LENGTH)}"
    return row.name, reason, *[NOT_MEASURED] * (len(cells) - 1)


def _cell(row: Row, metric: Metric) -> str:
    return _spread(row.values(metric))


def _spread(numbers: Sequence[float]) -> str:
    """The median, followed by the minimum and the maximum."""
    if not numbers:
        return NOT_MEASURED
    if len(numbers) == 1:
        return format_number(numbers[0])
    return f"{format_number(median(numbers))} ({format_number(min(numbers))}–{format_number(max(numbers))})"


def format_number(number: float | None) -> str:
    """Three significant digits, or all before the decimal point."""
    if number is None:
        return NOT_MEASURED
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with all columns but the first aligned right."""
    return markdown_table(titles, rows, right=titles[1:])
