"""How instances behave under a steady load: a table, from exact simulations of a few instances."""

import functools
from dataclasses import dataclass, replace

import numpy as np

from jobs.capacity_study.cloud_run import ServiceConfig
from jobs.capacity_study.discrete_event import simulate
from jobs.capacity_study.service_profile import ServiceProfile, ServiceTimes
from jobs.capacity_study.traffic import Floats, TrafficProfile

LOADS = np.array((1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95))
"""Shares of an instance's throughput."""
SAMPLE_REQUESTS = 6_000
MAX_SAMPLE_INSTANCES = 16
"""More instances do not change the results enough to matter."""
POINTS = 1000
"""Number of quantiles that represent a latency distribution."""


@dataclass(frozen=True, eq=False)
class SteadyStateTable:
    """Latency and activity of instances under each of `LOADS`."""

    latencies: Floats
    """Seconds at `POINTS` evenly spaced quantiles, [loads, points]."""
    means: Floats
    """Mean latency in seconds, [loads]."""
    active_shares: Floats
    """Share of the time in which an instance has requests, as it is billed, [loads]."""

    @functools.lru_cache(maxsize=10_000)  # noqa: B019  # there are only a few tables, and they are kept anyway
    def mean(self, load: float) -> float:
        """Returns the mean latency in seconds, interpolated between two loads."""
        return float(np.interp(load, LOADS, self.means))

    @functools.lru_cache(maxsize=10_000)  # noqa: B019
    def active_share(self, load: float) -> float:
        """Returns the share of the time in which an instance has requests, interpolated between two loads."""
        left = load / LOADS[0] * self.active_shares[0]
        return float(np.interp(load, LOADS, self.active_shares, left=left))


def steady_state(
    profile: ServiceProfile, config: ServiceConfig, instances: int, seed: int
) -> SteadyStateTable:
    """Simulates so many instances, but at most `MAX_SAMPLE_INSTANCES`, under each load."""
    instances = min(instances, MAX_SAMPLE_INSTANCES)
    return _simulate_table(profile, replace(config, min_instances=instances, max_instances=instances), seed)


@functools.cache
def _simulate_table(profile: ServiceProfile, config: ServiceConfig, seed: int) -> SteadyStateTable:
    instances = config.min_instances
    capacity = config.max_rate(ServiceTimes.from_profile(profile, config.vcpu)) * instances
    points = (np.arange(POINTS) + 0.5) / POINTS
    latencies, means, active_shares = [], [], []
    for load in LOADS:
        seconds = SAMPLE_REQUESTS / (load * capacity)
        traffic = TrafficProfile("", "", seconds, np.array([load * capacity]))
        result = simulate(traffic, profile, config, seed)
        latencies.append(np.quantile(result.latencies.seconds, points))
        means.append(result.latencies.mean())
        active_shares.append(min(result.active_seconds / (seconds * instances), 1.0))
    return SteadyStateTable(np.array(latencies), np.array(means), np.array(active_shares))
