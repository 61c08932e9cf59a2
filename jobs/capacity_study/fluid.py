"""Fluid approximation of Cloud Run, for more traffic than can be simulated request by request.

Requests flow, and time passes in short steps. Randomness is added back in two ways: how instances respond to
a load is taken from an exactly simulated sample (`steady_state`), and how many are started because more
requests than usual happen to arrive at once is taken from the Poisson distribution. In one respect the model
is optimistic: requests that arrive before new instances are ready share one backlog with all others, instead
of queueing in the old instances. After a burst, latencies may be too low by up to an instance's concurrency
times the service time.
"""

import functools
import math
from collections import deque
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from jobs.capacity_study.cloud_run import (
    DECISION_SECONDS,
    IDLE_SECONDS,
    WINDOW_SECONDS,
    Autoscaler,
    ServiceConfig,
    pending_seconds,
)
from jobs.capacity_study.result import Latencies, SimulationResult
from jobs.capacity_study.service_profile import ServiceProfile, ServiceTimes
from jobs.capacity_study.steady_state import LOADS, SteadyStateTable, steady_state
from jobs.capacity_study.traffic import HOUR, Floats, TrafficProfile

SHORT_SECONDS, LONG_SECONDS = 0.1, 2.5
"""Step length for up to an hour of traffic, and for more."""
WAIT_DIGITS = 3
"""Decimal places to which waits in seconds are distinguished."""


def simulate(
    traffic: TrafficProfile, profile: ServiceProfile, config: ServiceConfig, seed: int
) -> SimulationResult:
    """Simulates the traffic in steps of a tenth of a second, or of 2.5 s.

    Args:
        seed: for the steady-state sample.
    """
    step = SHORT_SECONDS if traffic.seconds <= HOUR else LONG_SECONDS
    rates = traffic.steps(step)
    random_peaks = _random_peaks(rates, config, ServiceTimes.from_profile(profile, config.vcpu))
    table = steady_state(profile, config, max(round(float(np.average(random_peaks, weights=rates))), 1), seed)
    service = _FluidService(profile, config, table, rates, step)
    for number, random_peak in enumerate(random_peaks.tolist()):
        service.advance(number, random_peak)
    return SimulationResult(
        seconds=traffic.seconds,
        requests=float(service.cumulative_arrivals[-1]),
        rejected=float(service.rejected.sum()),
        latencies=_latencies(service, table),
        starts=service.starts,
        peak_instances=service.peak,
        instance_seconds=service.instance_seconds,
        active_seconds=service.active_seconds,
        start_seconds=service.starts * profile.start_s,
        idle_seconds=service.idle_seconds,
    )


class _FluidService:
    """The service's current state, and its history by step."""

    def __init__(
        self,
        profile: ServiceProfile,
        config: ServiceConfig,
        table: SteadyStateTable,
        rates: Floats,
        step: float,
    ) -> None:
        self._times = ServiceTimes.from_profile(profile, config.vcpu)
        self._config = config
        self._table = table
        self.step = step
        self._step_capacity = config.max_rate(self._times) * step
        """Requests that one instance can do in a step."""
        self._start_steps = math.ceil(profile.start_s / step)
        self._idle_steps = round(IDLE_SECONDS / step)
        self._window_steps = round(WINDOW_SECONDS / step)
        self._decision_steps = round(DECISION_SECONDS / step)
        self._max_wait_steps = round(pending_seconds(profile) / step)
        initial_rate = float(rates[0])
        self._autoscaler = Autoscaler(config, self._times, initial_rate)
        self._running = self._autoscaler.desired if initial_rate * IDLE_SECONDS >= 1 else config.min_instances
        self._starting: deque[tuple[int, int]] = deque()
        """In which step instances will be ready, and how many."""
        self._recently_needed: deque[tuple[int, int]] = deque()
        """Step and number of instances needed then, in descending order, within the idle time."""
        self._all_serve_until = 0
        """Until this step every instance serves."""
        self._backlog = self._completed = 0.0
        """Requests that wait for a slot, and the number of requests answered or rejected so far."""
        self._cpu_seconds = self._request_seconds = 0.0
        self.arrivals = rates * step
        self.cumulative_arrivals = np.cumsum(self.arrivals)
        self.done, self.rejected, self.loads = (np.zeros(len(rates)) for _ in range(3))
        """By step: requests answered, requests rejected, and the load as a share of the capacity."""
        self.starts = 0
        self.peak = self._running
        self.instance_seconds = self.active_seconds = self.idle_seconds = 0.0

    def advance(self, number: int, random_peak: int) -> None:
        """Simulates one step.

        Args:
            random_peak: how many instances random clusters of arrivals need now and then.
        """
        while self._starting and self._starting[0][0] <= number:
            self._running += self._starting.popleft()[1]
        slots = self._config.concurrency
        serving = min(self._autoscaler.desired, self._running)
        if number < self._all_serve_until or self._backlog >= serving * slots:
            serving = self._running
        arriving = float(self.arrivals[number])
        done = min(self._backlog + arriving, serving * self._step_capacity)
        self._backlog += arriving - done
        # Without a backlog, requests that find an instance busy go to another, so all share the load.
        sharing = serving if self._backlog else self._running
        load = done / (sharing * self._step_capacity) if sharing else 0.0
        requests = self._backlog + done / self.step * self._table.mean(load)
        if requests > self._running * slots:
            self._all_serve_until = number + self._window_steps
        needed = max(math.ceil(requests / slots), random_peak)
        self._start_instances(number, needed)
        self._account(done, serving, requests)
        self._end_idle(number, max(self._autoscaler.desired, needed))
        self._completed += done
        self.done[number], self.loads[number] = done, load
        if number >= self._max_wait_steps and self._backlog:
            in_slots = min(requests, self._running * slots)
            overdue = (
                float(self.cumulative_arrivals[number - self._max_wait_steps]) - self._completed - in_slots
            )
            self.rejected[number] = rejected = min(max(overdue, 0.0), self._backlog)
            self._backlog -= rejected
            self._completed += rejected
        if (number + 1) % self._decision_steps == 0:
            self._decide(number)

    @property
    def _instances(self) -> int:
        return self._running + sum(count for _, count in self._starting)

    def _start_instances(self, number: int, desired: int) -> None:
        count = min(desired, self._config.max_instances) - self._instances
        if count > 0:
            self._starting.append((number + self._start_steps, count))
            self.starts += count
            self.peak = max(self.peak, self._instances)

    def _account(self, done: float, serving: int, requests: float) -> None:
        active = self._active_instances(done / self.step, serving)
        self.active_seconds += active * self.step
        self.idle_seconds += max(self._config.min_instances - active, 0.0) * self.step
        self.instance_seconds += self._instances * self.step
        self._cpu_seconds += done * self._times.service
        self._request_seconds += requests * self.step

    def _active_instances(self, rate: float, serving: int) -> float:
        """Mean number of instances that have requests: those that serve, and those that take the overflow."""
        slots = serving * self._config.concurrency
        overflow = rate * _erlang_b(rate * (self._times.service + self._times.wait), slots)
        capacity = self._step_capacity / self.step
        return sum(
            count * self._table.active_share(part / (count * capacity))
            for count, part in ((serving, rate - overflow), (self._running - serving, overflow))
            if count
        )

    def _end_idle(self, number: int, needed: int) -> None:
        """Ends instances that were not needed for the whole idle time."""
        while self._recently_needed and self._recently_needed[-1][1] <= needed:
            self._recently_needed.pop()
        self._recently_needed.append((number, max(needed, self._config.min_instances)))
        if self._recently_needed[0][0] <= number - self._idle_steps:
            self._recently_needed.popleft()
            self._running = min(self._running, self._recently_needed[0][1])

    def _decide(self, number: int) -> None:
        desired = self._autoscaler.decide(
            self._cpu_seconds / DECISION_SECONDS, self._request_seconds / DECISION_SECONDS
        )
        self._cpu_seconds = self._request_seconds = 0.0
        self._start_instances(number, desired)


def _random_peaks(rates: Floats, config: ServiceConfig, times: ServiceTimes) -> npt.NDArray[np.int64]:
    """Returns how many instances random clusters of arrivals need about once per idle time, by step."""
    distinct, index = np.unique(rates, return_inverse=True)
    needed = [_random_peak(rate, config, times) for rate in distinct.tolist()]
    return np.array(needed, dtype=np.int64)[index]


def _random_peak(rate: float, config: ServiceConfig, times: ServiceTimes) -> int:
    probability = min(1 / max(rate * IDLE_SECONDS, 1.0), 0.5)
    deviations = NormalDist().inv_cdf(1 - probability)
    # Poisson quantile: the normal distribution's, corrected for skewness.
    mean = rate * (times.service + times.wait)
    requests = mean + deviations * math.sqrt(mean) + (deviations**2 - 1) / 6
    # The highest of so many window averages is about two standard deviations above the mean.
    highest = rate + 2 * math.sqrt(rate / WINDOW_SECONDS)
    return max(config.clamp(requests / config.concurrency), config.instances_for(highest, times))


@functools.lru_cache(maxsize=100_000)
def _erlang_b(requests: float, slots: int) -> float:
    """Erlang B formula: the share of requests that find all slots taken.

    Args:
        requests: mean number of concurrent requests if slots were unlimited.
    """
    if slots > requests + 10 * math.sqrt(requests + 1):
        return 0.0
    blocked = 1.0
    for slot in range(1, slots + 1):
        blocked = requests * blocked / (slot + requests * blocked)
    return blocked


def _latencies(service: _FluidService, table: SteadyStateTable) -> Latencies:
    """Latencies of answered requests: the wait in the backlog plus the latency at the step's load."""
    steps = len(service.arrivals)
    ends = np.arange(1, steps + 1) * service.step
    departures = service.done + service.rejected
    cumulative_departures = np.cumsum(departures)
    arrived = service.cumulative_arrivals
    left_at = np.interp(arrived - service.arrivals / 2, cumulative_departures, ends)
    waits = np.maximum(left_at - ends, 0.0)
    waits[arrived - cumulative_departures < 1e-6 * arrived] = 0.0  # no backlog at the end of the step
    at = np.minimum((left_at / service.step).astype(int), steps - 1)
    answered = service.arrivals * np.divide(
        service.done[at], departures[at], out=np.ones(steps), where=departures[at] > 0
    )
    # A load lies between two of the table. Steps with the same loads and wait are combined.
    upper = np.clip(np.searchsorted(LOADS, service.loads), 1, len(LOADS) - 1)
    share = np.clip((service.loads - LOADS[upper - 1]) / np.diff(LOADS)[upper - 1], 0.0, 1.0)
    kinds = np.column_stack([np.concatenate([upper - 1, upper]), np.tile(np.round(waits, WAIT_DIGITS), 2)])
    distinct, index = np.unique(kinds, axis=0, return_inverse=True)
    counts = np.bincount(index.ravel(), np.concatenate([answered * (1 - share), answered * share]))
    nonzero = counts > 0
    points = table.latencies[distinct[nonzero, 0].astype(int)] + distinct[nonzero, 1][:, None]
    return Latencies.from_samples(
        points.ravel(), np.repeat(counts[nonzero] / points.shape[1], points.shape[1])
    )
