"""Results of a simulation: latencies and instance-seconds."""

from dataclasses import dataclass

import numpy as np

from jobs.capacity_study.traffic import Floats


@dataclass(frozen=True)
class Latencies:
    """A weighted distribution of seconds from a request's arrival to its answer."""

    seconds: Floats
    """Ascending, [n]."""
    counts: Floats
    """Number of requests with each latency, [n]."""

    @classmethod
    def from_samples(cls, seconds: Floats, counts: Floats | None = None) -> "Latencies":
        """Sorts latencies; without counts each stands for one request."""
        counts = np.ones(len(seconds)) if counts is None else counts
        order = np.argsort(seconds)
        return cls(seconds[order], counts[order])

    def quantile(self, share: float) -> float:
        """Returns the latency in seconds that this share of the requests does not exceed; NaN without any."""
        if not len(self.seconds):
            return float("nan")
        cumulative = np.cumsum(self.counts)
        index = int(np.searchsorted(cumulative, share * cumulative[-1]))
        return float(self.seconds[min(index, len(self.seconds) - 1)])

    def mean(self) -> float:
        """Returns the mean latency in seconds."""
        return float(np.average(self.seconds, weights=self.counts))


@dataclass(frozen=True)
class SimulationResult:
    """How one service handles one traffic profile."""

    seconds: float
    """Duration of the traffic."""
    requests: float
    """Number of requests that arrived."""
    rejected: float
    """Number of requests that got a 429, because they had waited too long for a slot."""
    latencies: Latencies
    """Of the requests that were answered."""
    starts: float
    """Number of instances started."""
    peak_instances: float
    instance_seconds: float
    """Total lifetime of the instances, starts included."""
    active_seconds: float
    """Time in which instances had requests, in whole tenths of a second, as it is billed."""
    start_seconds: float
    """Time in which instances were starting."""
    idle_seconds: float
    """Time in which instances of the minimum had no request."""
