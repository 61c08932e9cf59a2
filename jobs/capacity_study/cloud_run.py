"""Cloud Run's rules, as far as its documentation tells them: places, the autoscaler, how long requests wait.

Google's pages "About instance autoscaling", "Maximum concurrent requests", "CPU limits" and "Quotas and
limits", read in 2026. Where they are silent, the comment says what is assumed.
"""

import math
from collections import deque
from dataclasses import dataclass

from functions.errors import RidecastError
from jobs.capacity_study.service_profile import Measured, Work

TARGET = 0.6
"""Of the CPU and of the places: the autoscaler wants instances to be so busy on average."""
WINDOW_SECONDS = 60.0
"""Over which it averages."""
DECISION_SECONDS = 5.0
"""Between two of its decisions."""
IDLE_SECONDS = 900.0
"""After which an instance without requests ends; it may end earlier, and one that does costs a cold start."""
PENDING_SECONDS = 10.0
PENDING_STARTS = 3.5
"""A request waits for a place for so long or for so many starts, whichever is more; then it is a 429."""
MOST_CONCURRENCY = 1000
MOST_INSTANCES = 100
"""Of a revision, if nobody sets another maximum."""


class ImpossibleChoice(RidecastError):
    """Cloud Run does not take these settings together; the text says which does."""


@dataclass(frozen=True)
class Choice:
    """The settings of a service that capacity depends on."""

    concurrency: int = 80
    """Requests in one instance at once: its places."""
    min_instances: int = 0
    max_instances: int = MOST_INSTANCES
    vcpu: float = 1.0
    """A second vCPU is used by a second worker process (WORKERS=2)."""

    def __post_init__(self) -> None:
        if not 1 <= self.concurrency <= MOST_CONCURRENCY:
            raise ImpossibleChoice(f"concurrency {self.concurrency} must be 1 to {MOST_CONCURRENCY}")
        if self.vcpu < 1 and self.concurrency > 1:
            raise ImpossibleChoice(f"{self.vcpu:g} vCPU take one request at a time: set the concurrency to 1")
        if self.vcpu > 1 and self.vcpu != int(self.vcpu):
            raise ImpossibleChoice(f"{self.vcpu:g} vCPU: above one only whole numbers are possible")
        if not 0 <= self.min_instances <= self.max_instances or not self.max_instances:
            raise ImpossibleChoice(
                f"{self.min_instances} to {self.max_instances} instances: the maximum must be at least 1, and"
                " the minimum no more than it"
            )

    @property
    def workers(self) -> int:
        """Processes in an instance, each on a core of its own."""
        return max(int(self.vcpu), 1)

    def rate(self, work: Work) -> float:
        """Requests a second that one instance can do at the most."""
        return min(self.workers / work.service, self.concurrency / (work.service + work.wait))

    def instances_for(self, rate: float, work: Work) -> int:
        """So many does the autoscaler hold for a steady rate, in requests a second."""
        cpu = rate * work.service / self.workers
        places = rate * (work.service + work.wait) / self.concurrency
        return self.bounded(max(cpu, places) / TARGET)

    def bounded(self, wanted: float) -> int:
        """Whole instances, between the minimum and the maximum."""
        # The average of many steps of a thousandth is not to make a whole instance more.
        return min(max(math.ceil(wanted - 1e-6), self.min_instances), self.max_instances)


def pending_seconds(measured: Measured) -> float:
    """How long a request waits for a place before it is refused."""
    return max(PENDING_SECONDS, PENDING_STARTS * measured.start_s)


class Autoscaler:
    """How many instances there should be, from what the last minute was like.

    Beside it, a request that finds no place has an instance started at once.
    """

    def __init__(self, choice: Choice, work: Work, rate_before: float) -> None:
        """
        Args:
            rate_before: requests a second in the minute before the simulation.
        """
        self._choice = choice
        self._steps = int(WINDOW_SECONDS / DECISION_SECONDS)
        cpu = rate_before * work.service
        places = rate_before * (work.service + work.wait)
        self._seen = deque([(cpu, places)] * self._steps)
        self._cpu, self._places = self._steps * cpu, self._steps * places
        """Sums of what was seen."""
        self.wanted = choice.instances_for(rate_before, work)

    def decide(self, cpu: float, places: float) -> int:
        """The instances that should take requests from now on.

        Args:
            cpu: CPU seconds used, per second since the last decision.
            places: requests that were there, waiting ones too, on average since then.
        """
        old_cpu, old_places = self._seen.popleft()
        self._seen.append((cpu, places))
        self._cpu += cpu - old_cpu
        self._places += places - old_places
        busiest = max(self._cpu / self._choice.workers, self._places / self._choice.concurrency)
        self.wanted = self._choice.bounded(busiest / self._steps / TARGET)
        return self.wanted
