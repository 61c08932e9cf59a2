"""A run's figures as Markdown: tables for the terminal, and with their story for docs/performance.md."""

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from string import Template
from textwrap import shorten

from benchmarks.in_process import PARTS
from benchmarks.measure import CHECKED, CONNECTIONS, Plan
from benchmarks.results import (
    Figure,
    Results,
    Row,
    cpu_seconds,
    first_seconds,
    p50,
    p99,
    peak_mb,
    pss_mb,
    rate,
    ratio,
    whole_seconds,
)
from benchmarks.servers import ASGI_ECHO, PEERS, PEERS_OVER_PUBSUB, RIDECAST_EVENTS
from benchmarks.stages import MODEL, REST
from benchmarks.targets import FEWEST_ROUNDS, judge
from jobs.settings import PROJECT_ROOT

TEMPLATE = Path(__file__).with_name("performance.template.md")
OURS = (
    "functions-framework",
    "starlette",
    "uvicorn",
    "onnxruntime",
    "numpy",
    "msgspec",
    "google-cloud-pubsub",
    "pyarrow",
)
"""Packages whose versions decide how fast Ridecast is."""
EVENT_SERVERS = (RIDECAST_EVENTS, *PEERS_OVER_PUBSUB)
LONGEST_FAILURE = 160
"""Characters of what stands in the place of a row's figures."""
NO_EVENTS = "Not measured: there is no Pub/Sub emulator here.\n"


class Tables:
    """The tables of one run, by what they are about."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._http = [row for row in results.servers if row.name not in EVENT_SERVERS]
        self._events = [row for row in results.servers if row.name in EVENT_SERVERS]

    def all(self) -> dict[str, str]:
        """Names, as the document's template has them, and tables."""
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
        """Every claim with its verdict."""
        judged = len(self._results.in_process) >= FEWEST_ROUNDS
        rows = [
            (
                target.claim,
                target.wanted,
                "not measured" if target.measured is None else f"{short(target.measured)} {target.unit}",
                target.verdict if judged else "too few rounds to tell",
            )
            for target in judge(self._results)
        ]
        return _table(("claim", "wanted", "measured", ""), rows)

    def starts(self) -> str:
        """From a start to the first right answer, and the memory afterwards."""
        echo = self._results.row(ASGI_ECHO)
        rows = []
        for row in self._results.servers:
            beside = ratio(row, echo, first_seconds)
            times = "–" if beside is None else f"{beside:.1f}"
            cells = [_cell(row, first_seconds), times, _cell(row, pss_mb)]
            rows.append((row.name, *(_failed(row, 3) or cells)))
        return _table(("server", "first answer, s", "× ASGI echo", "memory, MB"), rows)

    def http(self) -> str:
        """Requests a second and how long each took."""
        return _loads("server", "requests/s", self._http, CONNECTIONS[1])

    def events(self) -> str:
        """Events a second and how long each took, and what the emulator can do without a function."""
        return _loads("in flight", "events/s", [*self._events, *self._results.pipes], CONNECTIONS[0])

    def in_process(self) -> str:
        """Microseconds of one ride's parts, and of 1,000 instances'."""

        def row(name: str, one: Sequence[float], many: Sequence[float]) -> tuple[str, str, str]:
            return name, _spread(one), _spread([microseconds / 1000 for microseconds in many])

        ride = self._results.ride
        rows = [
            row("**request's bytes → answer's bytes**", ride("one", "whole"), ride("many", "whole")),
            row("everything but the model", self._results.around("one"), self._results.around("many")),
            *(row(part, ride("one", part), ride("many", part)) for part in PARTS),
        ]
        return _table(("", "one ride, µs", "1,000 instances, ms"), rows)

    def batch(self) -> str:
        """Whole programs: seconds, processor time, and the most memory."""
        lines = []
        for row in self._results.batch:
            cells = [_cell(row, figure) for figure in (whole_seconds, cpu_seconds, peak_mb)]
            lines.append((row.name, *(_failed(row, 3) or cells)))
        return _table(("", "seconds", "processors' seconds", "most memory, MB"), lines)

    def stages(self) -> str:
        """Processor time of a month, by what it went into."""
        stages, share = self._results.stages, self._results.share
        rows = [
            (part, _spread([each[part] for each in stages]), _spread([100 * each for each in share(part)]))
            for part in (MODEL, REST)
        ]
        return _table(("", "seconds", "%"), rows)


def document(results: Results, plan: Plan, trips: str, wrk: str, busy: float) -> str:
    """docs/performance.md.

    Args:
        busy: load average before the run.
        trips: whose rides they are.
        wrk: its name and version.
    """
    return Template(TEMPLATE.read_text()).substitute(
        Tables(results).all(),
        machine=machine(),
        busy=f"{busy:.2f}",
        date=datetime.now(UTC).date(),
        trips=re.sub(r"\S+/", "", trips),  # files by their names, wherever they are on this machine
        wrk=wrk,
        versions=versions(),
        others=others(),
        rounds=plan.rounds,
        checked=CHECKED,
        seconds=plan.seconds,
        rows=f"{plan.rows:,}",
    )


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


def versions() -> str:
    """Ridecast's own packages."""
    return ", ".join(f"{package} {version(package)}" for package in OURS)


def others() -> str:
    """What each peer's requirements name first."""
    names = sorted((PROJECT_ROOT / PEERS).glob("*/requirements.in"))
    pinned = {path.read_text().split()[0] for path in names}
    return ", ".join(sorted(pinned)).replace("==", " ")


def _loads(name: str, unit: str, rows: Sequence[Row], connections: int) -> str:
    titles = [
        name,
        *(f"{unit} at {count}" for count in CONNECTIONS),
        f"p50 ms at {connections}",
        f"p99 ms at {connections}",
    ]
    lines = []
    for row in rows:
        figures = [*(rate(count) for count in CONNECTIONS), p50(connections), p99(connections)]
        lines.append((row.name, *(_failed(row, 5) or [_cell(row, figure) for figure in figures])))
    return _table(titles, lines)


def _failed(row: Row, cells: int) -> list[str]:
    """What stands in the place of a row's figures; empty if it has some."""
    if row.samples and not row.failure:
        return []
    return [f"not measured: {shorten(row.failure, LONGEST_FAILURE)}", *["–"] * (cells - 1)]


def _cell(row: Row, figure: Figure) -> str:
    return _spread(row.figures(figure))


def _spread(numbers: Sequence[float]) -> str:
    """The median, and behind it the least and the most."""
    if not numbers:
        return "–"
    if len(numbers) == 1:
        return short(numbers[0])
    return f"{short(median(numbers))} ({short(min(numbers))}–{short(max(numbers))})"


def short(number: float) -> str:
    """Three digits or all before the point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
