"""Results of a run: a row for each server, with a sample for each round."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

from benchmarks.wrk import Load

Metric = Callable[["Sample"], float | None]
"""A figure of a sample; None if it was not measured."""


@dataclass(frozen=True)
class Sample:
    """Measurements of one server, or one program, in one round."""

    loads: dict[int, Load]
    """By number of connections, or of events in flight."""
    startup_seconds: float | None = None
    """From process start to the first correct answer."""
    pss_mb: float | None = None
    total_seconds: float | None = None
    """Duration of a program that exits by itself."""
    cpu_seconds: float | None = None
    """CPU time of all its processes."""
    peak_mb: float | None = None
    """Peak memory of its largest process."""


@dataclass
class Row:
    """A server or program in all rounds."""

    name: str
    samples: list[Sample] = field(default_factory=list)
    failure: str = ""
    """Why it was not measured, or not in all rounds."""

    def values(self, metric: Metric) -> list[float]:
        """The figures of all rounds; empty if it was not measured or failed."""
        if self.failure:
            return []
        return [number for sample in self.samples if (number := metric(sample)) is not None]


@dataclass
class Results:
    """All measurements of a run."""

    servers: list[Row]
    emulator: list[Row]
    """The Pub/Sub emulator without a function."""
    batch: list[Row] = field(default_factory=list)
    """Programs for batch scoring."""
    in_process: list[dict[str, dict[str, float]]] = field(default_factory=list)
    """Microseconds in each round, see `benchmarks.in_process`."""
    stages: list[dict[str, float]] = field(default_factory=list)
    """CPU seconds in each round, see `benchmarks.stages`."""

    def row(self, name: str) -> Row:
        """The row with this name; an empty one if there is none."""
        rows = (row for row in (*self.servers, *self.emulator, *self.batch) if row.name == name)
        return next(rows, Row(name))

    def in_process_us(self, count: str, part: str) -> list[float]:
        """Microseconds in each round, for `one` ride or for `many`, of one part."""
        return [each[count][part] for each in self.in_process]

    def overhead_us(self, count: str) -> list[float]:
        """Microseconds in each round of everything but the model."""
        return [each[count]["whole"] - each[count]["model"] for each in self.in_process]

    def share(self, part: str) -> list[float]:
        """A stage's share of the CPU time of batch scoring in each round."""
        return [each[part] / sum(each.values()) for each in self.stages]


def rate(connections: int) -> Metric:
    """Requests, or events, per second."""
    return lambda sample: sample.loads[connections].rate


def p50(connections: int) -> Metric:
    """Median latency in milliseconds."""
    return lambda sample: sample.loads[connections].p50_ms


def p99(connections: int) -> Metric:
    """99th percentile of the latency in milliseconds."""
    return lambda sample: sample.loads[connections].p99_ms


def startup_seconds(sample: Sample) -> float | None:
    """From process start to the first correct answer."""
    return sample.startup_seconds


def pss_mb(sample: Sample) -> float | None:
    """Memory after the first 100 requests."""
    return sample.pss_mb


def total_seconds(sample: Sample) -> float | None:
    """Duration of a program that exits by itself."""
    return sample.total_seconds


def cpu_seconds(sample: Sample) -> float | None:
    """CPU time of a program that exits by itself."""
    return sample.cpu_seconds


def peak_mb(sample: Sample) -> float | None:
    """Peak memory of a program that exits by itself."""
    return sample.peak_mb


def ratio(row: Row, reference: Row, metric: Metric) -> float | None:
    """The median of the rounds' ratios, which vary less than the machine's speed between rounds."""
    pairs = zip(row.values(metric), reference.values(metric), strict=False)
    return optional_median(value / other for value, other in pairs)


def optional_median(numbers: Iterable[float]) -> float | None:
    """The median; None if there are no numbers."""
    values = list(numbers)
    return median(values) if values else None
