"""What was measured: a row for each server, a sample for each of its starts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

from benchmarks.wrk import Load

Figure = Callable[["Sample"], float | None]
"""One number of a sample; None where it was not measured."""


@dataclass(frozen=True)
class Sample:
    """One start of one server."""

    loads: dict[int, Load]
    """By connections, or events in flight."""
    first_seconds: float | None = None
    """From its start to its first right answer."""
    pss_mb: float | None = None
    whole_seconds: float | None = None
    """Of a program that ends by itself."""
    cpu_seconds: float | None = None
    """Of all its processes' processors."""
    peak_mb: float | None = None
    """The most memory it had."""


@dataclass
class Row:
    """A server, or a pipe, in all rounds."""

    name: str
    samples: list[Sample] = field(default_factory=list)
    failure: str = ""
    """Why there is nothing, or no more, of it."""

    def figures(self, figure: Figure) -> list[float]:
        """A figure in each round; empty where it was not measured or the row failed."""
        if self.failure:
            return []
        return [number for sample in self.samples if (number := figure(sample)) is not None]


@dataclass
class Results:
    """All that a run measured."""

    servers: list[Row]
    pipes: list[Row]
    """The emulator without a function before it."""
    batch: list[Row] = field(default_factory=list)
    """Programs that score a month."""
    in_process: list[dict[str, dict[str, float]]] = field(default_factory=list)
    """A round's microseconds, see `benchmarks.in_process`."""
    stages: list[dict[str, float]] = field(default_factory=list)
    """A round's seconds, see `benchmarks.stages`."""

    def row(self, name: str) -> Row:
        """The row of this name; an empty one if it is not among them."""
        rows = (row for row in (*self.servers, *self.pipes, *self.batch) if row.name == name)
        return next(rows, Row(name))

    def ride(self, count: str, part: str) -> list[float]:
        """Microseconds in process in each round: of `one` ride or of `many`, of one part."""
        return [each[count][part] for each in self.in_process]

    def around(self, count: str) -> list[float]:
        """The same, of everything but the model."""
        return [each[count]["whole"] - each[count]["model"] for each in self.in_process]

    def share(self, part: str) -> list[float]:
        """A part's share of a month's processor time, in each round."""
        return [each[part] / sum(each.values()) for each in self.stages]


def rate(connections: int) -> Figure:
    """Requests a second."""
    return lambda sample: sample.loads[connections].rate


def p50(connections: int) -> Figure:
    """Milliseconds."""
    return lambda sample: sample.loads[connections].p50_ms


def p99(connections: int) -> Figure:
    """Milliseconds."""
    return lambda sample: sample.loads[connections].p99_ms


def first_seconds(sample: Sample) -> float | None:
    """From a start to the first right answer."""
    return sample.first_seconds


def pss_mb(sample: Sample) -> float | None:
    """Memory after the first hundred requests."""
    return sample.pss_mb


def whole_seconds(sample: Sample) -> float | None:
    """Of a program that ends by itself."""
    return sample.whole_seconds


def cpu_seconds(sample: Sample) -> float | None:
    """Processor time of a program that ends by itself."""
    return sample.cpu_seconds


def peak_mb(sample: Sample) -> float | None:
    """The most memory it had."""
    return sample.peak_mb


def ratio(ours: Row, theirs: Row, figure: Figure) -> float | None:
    """Ours in theirs: the median of the rounds, each of which had the machine in its own mood."""
    pairs = zip(ours.figures(figure), theirs.figures(figure), strict=False)
    return middle(mine / other for mine, other in pairs)


def middle(numbers: Iterable[float]) -> float | None:
    """The median; None of nothing."""
    found = list(numbers)
    return median(found) if found else None
