"""Cloud Run, request by request: exact for what the rules say, and affordable for a million requests.

A request goes to any instance that takes requests and has a free place; there it waits for the CPU behind
those that came before. Requests are taken by as many instances as the autoscaler wants; by the others only if
those have no place, or if within the last minute a request had to wait for one. That the router knows the
places and not the CPUs is the cautious assumption: one that looked for the least busy instance would make
waits shorter.
"""

import heapq
import random
from collections import deque

import numpy as np
import numpy.typing as npt

from jobs.capacity_study.cloud_run import (
    DECISION_SECONDS,
    IDLE_SECONDS,
    WINDOW_SECONDS,
    Autoscaler,
    Choice,
    pending_seconds,
)
from jobs.capacity_study.result import Latencies, Outcome
from jobs.capacity_study.service_profile import Measured, Work
from jobs.capacity_study.traffic import Profile

Floats = npt.NDArray[np.float64]

BILLED_SECONDS = 0.1
"""Instances are billed in steps of this: requests that come before a step is over cost nothing more."""

_DONE, _STARTED, _DECISION = range(3)
"""Kinds of what happens; at the same moment, in this order."""


class _Instance:
    """One container."""

    __slots__ = ("active", "begin", "billed", "born", "free", "idle_since", "requests", "serving", "spot")

    def __init__(self, workers: int, born: float) -> None:
        self.born = born
        self.free = [born] * workers
        """When each worker will have done what it was given."""
        self.requests = 0
        self.idle_since = born
        self.begin = self.billed = -BILLED_SECONDS
        """Of the stretch that is billed last; both are moments."""
        self.active = 0.0
        self.serving = True
        """Whether it is among those that the autoscaler wants."""
        self.spot = -1
        """Its place in the list of those with free places."""

    def bill(self, start: float, end: float) -> None:
        """Notes that it has a request from `start` to `end`."""
        if start > self.billed:
            self.begin = self.billed = start
        if end > self.billed:
            steps = -((self.begin - end) // BILLED_SECONDS)
            until = self.begin + steps * BILLED_SECONDS
            self.active += until - self.billed
            self.billed = until


class _Open:
    """Instances with a free place; adding, removing and drawing one take the same time for any number."""

    def __init__(self) -> None:
        self._list: list[_Instance] = []

    def __bool__(self) -> bool:
        return bool(self._list)

    def add(self, instance: _Instance) -> None:
        instance.spot = len(self._list)
        self._list.append(instance)

    def remove(self, instance: _Instance) -> None:
        last = self._list.pop()
        if last is not instance:
            self._list[instance.spot] = last
            last.spot = instance.spot
        instance.spot = -1

    def draw(self, number: float) -> _Instance:
        """One of them for a number from 0 to 1."""
        return self._list[int(number * len(self._list))]


class _Service:
    """Instances, and the requests that have no place yet."""

    def __init__(self, measured: Measured, choice: Choice, work: Work, rate_before: float, seed: int) -> None:
        self._start = measured.start_s
        self._patience = pending_seconds(measured)
        self._choice = choice
        self._wait = work.wait
        self._number = random.Random(seed).random  # noqa: S311  # no secret: which instance comes next
        self._autoscaler = Autoscaler(choice, work, rate_before)
        # Whoever has seen a request in the last quarter of an hour has an instance.
        warm = self._autoscaler.wanted if rate_before * IDLE_SECONDS >= 1 else choice.min_instances
        self.instances = [_Instance(choice.workers, 0.0) for _ in range(warm)]
        self._starting = 0
        self._all_until = 0.0
        """Until then every instance takes requests."""
        self._open, self._spare = _Open(), _Open()
        for instance in self.instances:
            self._open.add(instance)
        self.events: list[tuple[float, int, int, _Instance | None]] = []
        """A heap: when, kind, number, whose."""
        self._events = 0
        self._pending: deque[tuple[float, float]] = deque()
        """When each came, and its service time."""
        self.latencies: list[float] = []
        self.refused = self.starts = 0
        self.peak = warm
        self.instance_seconds = self.active_seconds = self.first_active = 0.0
        self._here = 0
        """Requests in the service, pending ones too."""
        self._here_seconds = self._cpu_seconds = self._last = 0.0

    def arrive(self, now: float, service: float) -> None:
        self._pass(now)
        self._here += 1
        instances = self._open or self._spare
        if instances and not self._pending:
            self._take(instances.draw(self._number()), now, now, service)
        else:
            self._pending.append((now, service))
            self._all_until = now + WINDOW_SECONDS
            self._start_for_pending(now)

    def finish(self, now: float, instance: _Instance) -> None:
        self._pass(now)
        self._here -= 1
        instance.requests -= 1
        if not instance.requests:
            instance.idle_since = now
        if instance.spot < 0:
            self._add(instance)
        self._work_off(now)

    def started(self, now: float, instance: _Instance) -> None:
        self._starting -= 1
        self.instances.append(instance)
        instance.serving = True
        self._add(instance)
        self._work_off(now)

    def decide(self, now: float) -> None:
        """What the autoscaler does every few seconds."""
        self._pass(now)
        self._refuse(now)
        wanted = self._autoscaler.decide(
            self._cpu_seconds / DECISION_SECONDS, self._here_seconds / DECISION_SECONDS
        )
        self._cpu_seconds = self._here_seconds = 0.0
        for _ in range(wanted - len(self.instances) - self._starting):
            self._begin(now)
        self._end_idle(now)
        self._open, self._spare = _Open(), _Open()
        for number, instance in enumerate(self.instances):
            instance.serving = number < wanted or now < self._all_until
            instance.spot = -1
            if instance.requests < self._choice.concurrency:
                self._add(instance)
        self._work_off(now)

    def close(self, now: float) -> None:
        """Counts what is still there at the end."""
        for number, instance in enumerate(self.instances):
            self.instance_seconds += now - instance.born
            self.active_seconds += instance.active
            if number < self._choice.min_instances:
                self.first_active += instance.active

    def push(self, when: float, kind: int, instance: _Instance | None) -> None:
        self._events += 1
        heapq.heappush(self.events, (when, kind, self._events, instance))

    def _pass(self, now: float) -> None:
        self._here_seconds += self._here * (now - self._last)
        self._last = now

    def _add(self, instance: _Instance) -> None:
        (self._open if instance.serving else self._spare).add(instance)

    def _take(self, instance: _Instance, came: float, now: float, service: float) -> None:
        instance.requests += 1
        if instance.requests == self._choice.concurrency:
            (self._open if instance.serving else self._spare).remove(instance)
        free = instance.free
        worked = max(free[0], now) + service
        heapq.heapreplace(free, worked)
        done = worked + self._wait
        instance.bill(now, done)
        self._cpu_seconds += service
        self.latencies.append(done - came)
        self.push(done, _DONE, instance)

    def _work_off(self, now: float) -> None:
        self._refuse(now)
        while self._pending and (instances := self._open or self._spare):
            came, service = self._pending.popleft()
            self._take(instances.draw(self._number()), came, now, service)

    def _refuse(self, now: float) -> None:
        while self._pending and self._pending[0][0] + self._patience < now:
            self._pending.popleft()
            self.refused += 1
            self._here -= 1

    def _start_for_pending(self, now: float) -> None:
        there = len(self.instances) + self._starting
        places = there * self._choice.concurrency
        if self._here > places and there < self._choice.max_instances:
            self._begin(now)

    def _begin(self, now: float) -> None:
        self._starting += 1
        self.starts += 1
        self.peak = max(self.peak, len(self.instances) + self._starting)
        instance = _Instance(self._choice.workers, now)
        instance.free = [now + self._start] * self._choice.workers
        instance.idle_since = now + self._start
        self.push(now + self._start, _STARTED, instance)

    def _end_idle(self, now: float) -> None:
        kept = []
        for number, instance in enumerate(self.instances):
            ends = not instance.requests and now - instance.idle_since >= IDLE_SECONDS
            if ends and number >= self._choice.min_instances:
                self.instance_seconds += now - instance.born
                self.active_seconds += instance.active
            else:
                kept.append(instance)
        self.instances = kept


def simulate(profile: Profile, measured: Measured, choice: Choice, seed: int) -> Outcome:
    """Sends the traffic's requests through the service, one by one.

    Args:
        seed: of the arrivals and of the router.
    """
    arrivals = profile.arrivals(seed)
    services = np.full(len(arrivals), Work.of(measured, choice.vcpu).service)
    return replay(arrivals, services, profile, measured, choice, seed)


def replay(  # noqa: PLR0913, PLR0917  # a simulation's whole input
    arrivals: Floats, services: Floats, profile: Profile, measured: Measured, choice: Choice, seed: int
) -> Outcome:
    """Sends known requests through the service.

    Args:
        arrivals: seconds at which they come, ascending.
        services: CPU seconds of each.
        profile: the traffic of which they are.
        seed: of the router.
    """
    work = Work.of(measured, choice.vcpu)
    service = _Service(measured, choice, work, float(profile.rates[0]), seed)
    service.push(DECISION_SECONDS, _DECISION, None)
    for now, seconds in zip(arrivals.tolist(), services.tolist(), strict=True):
        _happen(service, now)
        service.arrive(now, seconds)
    _happen(service, profile.seconds)
    service.close(profile.seconds)
    idle = choice.min_instances * profile.seconds - service.first_active
    return Outcome(
        seconds=profile.seconds,
        requests=len(arrivals),
        refused=service.refused,
        latencies=Latencies.of(np.array(service.latencies)),
        starts=service.starts,
        peak_instances=service.peak,
        instance_seconds=service.instance_seconds,
        active_seconds=service.active_seconds,
        start_seconds=service.starts * measured.start_s,
        idle_seconds=max(idle, 0.0),
    )


def _happen(service: _Service, until: float) -> None:
    """Lets everything happen that comes before a moment."""
    while service.events and service.events[0][0] <= until:
        now, kind, _, instance = heapq.heappop(service.events)
        if kind == _DECISION:
            service.decide(now)
            service.push(now + DECISION_SECONDS, _DECISION, None)
        elif kind == _STARTED:
            assert instance
            service.started(now, instance)
        else:
            assert instance
            service.finish(now, instance)
