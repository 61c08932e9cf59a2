"""What one instance is like under a steady load: a table, made by the exact simulation of a few instances."""

import functools
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from jobs.capacity_study.cloud_run import Choice
from jobs.capacity_study.discrete_event import simulate
from jobs.capacity_study.service_profile import Measured, Work
from jobs.capacity_study.traffic import Profile

Floats = npt.NDArray[np.float64]

LOADS = np.array((1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95))
"""Shares of the rate that an instance can do at the most."""
SAMPLE_REQUESTS = 6_000
MOST_INSTANCES = 16
"""Of a sample; with more of them nothing changes that matters here."""
POINTS = 1000
"""Of a distribution of latencies."""


@dataclass(frozen=True, eq=False)
class Steady:
    """Instances under each of `LOADS`."""

    latencies: Floats
    """Loads × points: seconds at evenly spread shares of the requests."""
    means: Floats
    """Latency in seconds, on average."""
    shares: Floats
    """Of the time, in which an instance is billed for having requests."""

    @functools.lru_cache(maxsize=10_000)  # noqa: B019  # there are a few tables, and they stay
    def mean(self, load: float) -> float:
        """Latency in seconds, on average, between two loads of the table."""
        return float(np.interp(load, LOADS, self.means))

    @functools.lru_cache(maxsize=10_000)  # noqa: B019
    def share(self, load: float) -> float:
        """Of the time, in which an instance is billed for having requests."""
        return float(np.interp(load, LOADS, self.shares, left=load / LOADS[0] * self.shares[0]))


def steady(measured: Measured, choice: Choice, instances: int, seed: int) -> Steady:
    """Simulates so many instances, but no more than are worth it, under each load."""
    instances = min(instances, MOST_INSTANCES)
    return _steady(measured, replace(choice, min_instances=instances, max_instances=instances), seed)


@functools.cache
def _steady(measured: Measured, choice: Choice, seed: int) -> Steady:
    instances = choice.min_instances
    most = choice.rate(Work.of(measured, choice.vcpu)) * instances
    points = (np.arange(POINTS) + 0.5) / POINTS
    latencies, means, shares = [], [], []
    for load in LOADS:
        seconds = SAMPLE_REQUESTS / (load * most)
        outcome = simulate(Profile("", "", seconds, np.array([load * most])), measured, choice, seed)
        latencies.append(np.quantile(outcome.latencies.seconds, points))
        means.append(outcome.latencies.mean())
        shares.append(min(outcome.active_seconds / (seconds * instances), 1.0))
    return Steady(np.array(latencies), np.array(means), np.array(shares))
