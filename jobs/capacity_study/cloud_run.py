"""Cloud Run's documented rules: concurrency slots, the autoscaler, and how long requests may wait.

They are from Google's pages "About instance autoscaling", "Maximum concurrent requests", "CPU limits" and
"Quotas and limits", as of 2026. Comments state what is assumed where the documentation says nothing.
"""

import math
from collections import deque
from dataclasses import dataclass

from functions.errors import RidecastError
from jobs.capacity_study.service_profile import ServiceProfile, ServiceTimes

TARGET_UTILIZATION = 0.6
"""Average utilization of CPU and slots that the autoscaler aims for."""
WINDOW_SECONDS = 60.0
"""The autoscaler's averaging window."""
DECISION_SECONDS = 5.0
"""Interval between decisions of the autoscaler. An assumption."""
IDLE_SECONDS = 900.0
"""After so long without requests an instance ends. Cloud Run may end it earlier, which costs a cold start."""
PENDING_SECONDS = 10.0
PENDING_STARTS = 3.5
"""A request waits for a slot for so long, or for so many start times if that is more; then it gets a 429."""
MAX_CONCURRENCY = 1000
MAX_INSTANCES = 100
"""Default maximum of a revision."""


class InvalidServiceConfig(RidecastError):
    """Cloud Run does not accept this combination of settings; the message says what it would accept."""


@dataclass(frozen=True)
class ServiceConfig:
    """Settings of a Cloud Run service that its capacity depends on."""

    concurrency: int = 80
    """Concurrent requests per instance: its slots."""
    min_instances: int = 0
    max_instances: int = MAX_INSTANCES
    vcpu: float = 1.0
    """A second vCPU needs a second worker process (WORKERS=2)."""

    def __post_init__(self) -> None:
        if not 1 <= self.concurrency <= MAX_CONCURRENCY:
            raise InvalidServiceConfig(f"concurrency {self.concurrency} must be 1 to {MAX_CONCURRENCY}")
        if self.vcpu < 1 and self.concurrency > 1:
            raise InvalidServiceConfig(
                f"{self.vcpu:g} vCPU allows only one request at a time: set the concurrency to 1"
            )
        if self.vcpu > 1 and self.vcpu != int(self.vcpu):
            raise InvalidServiceConfig(f"{self.vcpu:g} vCPU: above one, only whole numbers are possible")
        if not 0 <= self.min_instances <= self.max_instances or not self.max_instances:
            raise InvalidServiceConfig(
                f"{self.min_instances} to {self.max_instances} instances: the maximum must be at least 1,"
                " and the minimum no more than it"
            )

    @property
    def workers(self) -> int:
        """Worker processes in an instance, each on its own core."""
        return max(int(self.vcpu), 1)

    def max_rate(self, times: ServiceTimes) -> float:
        """Returns the throughput of one instance, in requests a second."""
        return min(self.workers / times.service, self.concurrency / (times.service + times.wait))

    def instances_for(self, rate: float, times: ServiceTimes) -> int:
        """Returns how many instances the autoscaler keeps for a steady rate, in requests a second."""
        cpu = rate * times.service / self.workers
        slots = rate * (times.service + times.wait) / self.concurrency
        return self.clamp(max(cpu, slots) / TARGET_UTILIZATION)

    def clamp(self, instances: float) -> int:
        """Rounds up to whole instances, between the minimum and the maximum."""
        # A rounding error in an average must not cost a whole instance.
        return min(max(math.ceil(instances - 1e-6), self.min_instances), self.max_instances)


def pending_seconds(profile: ServiceProfile) -> float:
    """Returns how many seconds a request waits for a slot before it is rejected."""
    return max(PENDING_SECONDS, PENDING_STARTS * profile.start_s)


class Autoscaler:
    """Decides on the number of instances from the load of the last minute.

    In addition, a request that finds no free slot starts an instance at once; the caller simulates that.
    """

    def __init__(self, config: ServiceConfig, times: ServiceTimes, initial_rate: float) -> None:
        """
        Args:
            initial_rate: requests a second in the minute before the simulation.
        """
        self._config = config
        self._steps = int(WINDOW_SECONDS / DECISION_SECONDS)
        cpu = initial_rate * times.service
        requests = initial_rate * (times.service + times.wait)
        self._window = deque([(cpu, requests)] * self._steps)
        self._cpu_sum, self._requests_sum = self._steps * cpu, self._steps * requests
        self.desired = config.instances_for(initial_rate, times)

    def decide(self, cpu: float, requests: float) -> int:
        """Returns how many instances should serve requests from now on.

        Args:
            cpu: CPU seconds used, per second, since the last decision.
            requests: mean number of requests in the service since then, waiting ones included.
        """
        old_cpu, old_requests = self._window.popleft()
        self._window.append((cpu, requests))
        self._cpu_sum += cpu - old_cpu
        self._requests_sum += requests - old_requests
        busiest = max(self._cpu_sum / self._config.workers, self._requests_sum / self._config.concurrency)
        self.desired = self._config.clamp(busiest / self._steps / TARGET_UTILIZATION)
        return self.desired
