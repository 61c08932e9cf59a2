"""What a simulation brought: how long requests took, and for how long instances were there."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Latencies:
    """Seconds from a request's arrival to its answer, each with how many requests took so long."""

    seconds: Floats
    """Ascending."""
    counts: Floats

    @classmethod
    def of(cls, seconds: Floats, counts: Floats | None = None) -> "Latencies":
        counts = np.ones(len(seconds)) if counts is None else counts
        order = np.argsort(seconds)
        return cls(seconds[order], counts[order])

    def quantile(self, share: float) -> float:
        """Such a share of the requests took no longer, in seconds; NaN if there were none."""
        if not len(self.seconds):
            return float("nan")
        so_far = np.cumsum(self.counts)
        place = int(np.searchsorted(so_far, share * so_far[-1]))
        return float(self.seconds[min(place, len(self.seconds) - 1)])

    def mean(self) -> float:
        """Seconds."""
        return float(np.average(self.seconds, weights=self.counts))


@dataclass(frozen=True)
class Outcome:
    """Of one service under one stretch of traffic."""

    seconds: float
    """Of traffic."""
    requests: float
    """That came."""
    refused: float
    """With 429, because they had waited too long for a place."""
    latencies: Latencies
    """Of those that were answered."""
    starts: float
    """Instances that were started."""
    peak_instances: float
    instance_seconds: float
    """In which instances existed, with their starts."""
    active_seconds: float
    """In which they had requests, in whole tenths of a second, as they are billed."""
    start_seconds: float
    """In which they started."""
    idle_seconds: float
    """In which instances of the minimum had no request."""
