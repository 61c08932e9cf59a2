"""Discrete-event simulation of Cloud Run: request by request, feasible up to a million of them.

A request goes to a random instance among those that serve and have a free slot; there it queues for the CPU.
As many instances serve as the autoscaler wants. The others serve only if those have no free slot, or if a
request had to wait for a slot within the last minute. The router knows slots, but not CPU load: that is the
cautious assumption, as a router that picked the least busy instance would make waits shorter.
"""

import heapq
import random
from collections import deque

import numpy as np

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
from jobs.capacity_study.traffic import Floats, TrafficProfile

BILLED_SECONDS = 0.1
"""Billing granularity: a request that arrives before a step is over adds no cost until its end."""

_DONE, _STARTED, _DECISION = range(3)
"""Kinds of events, in their order at the same time."""


class _Instance:
    """One container."""

    __slots__ = (
        *("active_seconds", "billed_until", "billing_start", "created", "idle_since"),
        *("index", "requests", "serving", "worker_free_at"),
    )

    def __init__(self, workers: int, created: float, ready: float) -> None:
        self.created = created
        self.worker_free_at = [ready] * workers
        """A heap: when each worker will have finished its queue."""
        self.requests = 0
        self.idle_since = ready
        self.billing_start = self.billed_until = -BILLED_SECONDS
        """Start and end of the latest billed period."""
        self.active_seconds = 0.0
        self.serving = True
        """Whether it is among the instances that the autoscaler wants."""
        self.index = -1
        """Position in its pool; -1 without a free slot."""

    def bill(self, start: float, end: float) -> None:
        """Bills a request that is in the instance from `start` to `end`."""
        if start > self.billed_until:
            self.billing_start = self.billed_until = start
        if end > self.billed_until:
            steps = -((self.billing_start - end) // BILLED_SECONDS)
            until = self.billing_start + steps * BILLED_SECONDS
            self.active_seconds += until - self.billed_until
            self.billed_until = until


class _Pool:
    """Instances with a free slot; adds, removes and picks one in constant time."""

    def __init__(self) -> None:
        self._instances: list[_Instance] = []

    def __bool__(self) -> bool:
        return bool(self._instances)

    def add(self, instance: _Instance) -> None:
        instance.index = len(self._instances)
        self._instances.append(instance)

    def remove(self, instance: _Instance) -> None:
        last = self._instances.pop()
        if last is not instance:
            self._instances[instance.index] = last
            last.index = instance.index
        instance.index = -1

    def pick(self, number: float) -> _Instance:
        """Returns the instance at a relative position from 0 to 1."""
        return self._instances[int(number * len(self._instances))]


class _Service:
    """The service's instances, and the requests that wait for a slot."""

    def __init__(
        self,
        profile: ServiceProfile,
        config: ServiceConfig,
        times: ServiceTimes,
        initial_rate: float,
        seed: int,
    ) -> None:
        self._start_seconds = profile.start_s
        self._max_wait = pending_seconds(profile)
        self._config = config
        self._request_wait = times.wait
        self._random = random.Random(seed).random  # noqa: S311  # not for security: picks an instance
        self._autoscaler = Autoscaler(config, times, initial_rate)
        # An instance is already warm if there was a request within the last quarter of an hour.
        warm = self._autoscaler.desired if initial_rate * IDLE_SECONDS >= 1 else config.min_instances
        self.instances = [_Instance(config.workers, 0.0, 0.0) for _ in range(warm)]
        self._starting = 0
        self._all_serve_until = 0.0
        """Until then every instance serves, also those that the autoscaler does not want."""
        self._serving, self._spare = _Pool(), _Pool()
        for instance in self.instances:
            self._serving.add(instance)
        self._events: list[tuple[float, int, int, _Instance | None]] = []
        """A heap: time, kind, sequence number, instance."""
        self._event_count = 0
        self._schedule(DECISION_SECONDS, _DECISION, None)
        self._pending: deque[tuple[float, float]] = deque()
        """Arrival time and service time of each waiting request."""
        self.latencies: list[float] = []
        self.rejected = self.starts = 0
        self.peak = warm
        self.instance_seconds = self.active_seconds = self.min_instances_active_seconds = 0.0
        self._requests = 0
        """Requests in the service, waiting ones included."""
        self._request_seconds = self._cpu_seconds = self._now = 0.0

    def arrive(self, now: float, service: float) -> None:
        self._advance(now)
        self._requests += 1
        pool = self._serving or self._spare
        if pool and not self._pending:
            self._assign(pool.pick(self._random()), now, now, service)
        else:
            self._pending.append((now, service))
            self._all_serve_until = now + WINDOW_SECONDS
            self._start_for_pending(now)

    def run_until(self, end: float) -> None:
        """Processes all events up to a time."""
        while self._events and self._events[0][0] <= end:
            now, kind, _, instance = heapq.heappop(self._events)
            if instance is None:
                self._decide(now)
                self._schedule(now + DECISION_SECONDS, _DECISION, None)
            elif kind == _STARTED:
                self._started(now, instance)
            else:
                self._finish(now, instance)

    def _finish(self, now: float, instance: _Instance) -> None:
        self._advance(now)
        self._requests -= 1
        instance.requests -= 1
        if not instance.requests:
            instance.idle_since = now
        if instance.index < 0:
            self._add_to_pool(instance)
        self._assign_pending(now)

    def _started(self, now: float, instance: _Instance) -> None:
        self._starting -= 1
        self.instances.append(instance)
        instance.serving = True
        self._add_to_pool(instance)
        self._assign_pending(now)

    def _decide(self, now: float) -> None:
        """Runs the autoscaler."""
        self._advance(now)
        self._reject_overdue(now)
        desired = self._autoscaler.decide(
            self._cpu_seconds / DECISION_SECONDS, self._request_seconds / DECISION_SECONDS
        )
        self._cpu_seconds = self._request_seconds = 0.0
        for _ in range(desired - len(self.instances) - self._starting):
            self._start_instance(now)
        self._end_idle(now)
        self._serving, self._spare = _Pool(), _Pool()
        for number, instance in enumerate(self.instances):
            instance.serving = number < desired or now < self._all_serve_until
            instance.index = -1
            if instance.requests < self._config.concurrency:
                self._add_to_pool(instance)
        self._assign_pending(now)

    def close(self, now: float) -> None:
        """Adds up the instances that are left at the end."""
        for number, instance in enumerate(self.instances):
            self.instance_seconds += now - instance.created
            self.active_seconds += instance.active_seconds
            if number < self._config.min_instances:
                self.min_instances_active_seconds += instance.active_seconds

    def _schedule(self, when: float, kind: int, instance: _Instance | None) -> None:
        self._event_count += 1
        heapq.heappush(self._events, (when, kind, self._event_count, instance))

    def _advance(self, now: float) -> None:
        self._request_seconds += self._requests * (now - self._now)
        self._now = now

    def _add_to_pool(self, instance: _Instance) -> None:
        (self._serving if instance.serving else self._spare).add(instance)

    def _assign(self, instance: _Instance, arrived: float, now: float, service: float) -> None:
        instance.requests += 1
        if instance.requests == self._config.concurrency:
            (self._serving if instance.serving else self._spare).remove(instance)
        workers = instance.worker_free_at
        served = max(workers[0], now) + service
        heapq.heapreplace(workers, served)
        done = served + self._request_wait
        instance.bill(now, done)
        self._cpu_seconds += service
        self.latencies.append(done - arrived)
        self._schedule(done, _DONE, instance)

    def _assign_pending(self, now: float) -> None:
        self._reject_overdue(now)
        while self._pending and (pool := self._serving or self._spare):
            arrived, service = self._pending.popleft()
            self._assign(pool.pick(self._random()), arrived, now, service)

    def _reject_overdue(self, now: float) -> None:
        while self._pending and self._pending[0][0] + self._max_wait < now:
            self._pending.popleft()
            self.rejected += 1
            self._requests -= 1

    def _start_for_pending(self, now: float) -> None:
        instances = len(self.instances) + self._starting
        slots = instances * self._config.concurrency
        if self._requests > slots and instances < self._config.max_instances:
            self._start_instance(now)

    def _start_instance(self, now: float) -> None:
        self._starting += 1
        self.starts += 1
        self.peak = max(self.peak, len(self.instances) + self._starting)
        ready = now + self._start_seconds
        self._schedule(ready, _STARTED, _Instance(self._config.workers, now, ready))

    def _end_idle(self, now: float) -> None:
        remaining = []
        for number, instance in enumerate(self.instances):
            is_idle = not instance.requests and now - instance.idle_since >= IDLE_SECONDS
            if is_idle and number >= self._config.min_instances:
                self.instance_seconds += now - instance.created
                self.active_seconds += instance.active_seconds
            else:
                remaining.append(instance)
        self.instances = remaining


def simulate(
    traffic: TrafficProfile, profile: ServiceProfile, config: ServiceConfig, seed: int
) -> SimulationResult:
    """Sends the traffic's requests through the service, one by one.

    Args:
        seed: for the arrivals and the router.
    """
    arrivals = traffic.arrivals(seed)
    service_seconds = np.full(len(arrivals), ServiceTimes.from_profile(profile, config.vcpu).service)
    return replay(arrivals, service_seconds, traffic, profile, config, seed)


def replay(  # noqa: PLR0913, PLR0917  # a simulation's whole input
    arrivals: Floats,
    service_seconds: Floats,
    traffic: TrafficProfile,
    profile: ServiceProfile,
    config: ServiceConfig,
    seed: int,
) -> SimulationResult:
    """Sends given requests through the service.

    Args:
        arrivals: arrival times in seconds, ascending, [n].
        service_seconds: CPU seconds of each request, [n].
        traffic: gives the initial rate and the duration.
        seed: for the router.
    """
    times = ServiceTimes.from_profile(profile, config.vcpu)
    service = _Service(profile, config, times, float(traffic.rates[0]), seed)
    for now, seconds in zip(arrivals.tolist(), service_seconds.tolist(), strict=True):
        service.run_until(now)
        service.arrive(now, seconds)
    service.run_until(traffic.seconds)
    service.close(traffic.seconds)
    idle = config.min_instances * traffic.seconds - service.min_instances_active_seconds
    return SimulationResult(
        seconds=traffic.seconds,
        requests=len(arrivals),
        rejected=service.rejected,
        latencies=Latencies.from_samples(np.array(service.latencies)),
        starts=service.starts,
        peak_instances=service.peak,
        instance_seconds=service.instance_seconds,
        active_seconds=service.active_seconds,
        start_seconds=service.starts * profile.start_s,
        idle_seconds=max(idle, 0.0),
    )
