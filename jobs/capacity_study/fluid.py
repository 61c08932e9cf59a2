"""Cloud Run as a fluid: for traffic of which nobody can simulate each request.

Requests flow; time goes in short steps. What is random is put back from two sides: how instances fare under
a load comes from a sample that is simulated exactly (`steady`), and how many are started because by chance
more requests than usual came at once, from Poisson's distribution. In one respect it is too kind: requests
that came before new instances were there wait with the others, not behind each other in the old instances;
a burst's waits come out shorter by up to an instance's places times the service time.
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
    Choice,
    pending_seconds,
)
from jobs.capacity_study.result import Latencies, Outcome
from jobs.capacity_study.service_profile import Measured, Work
from jobs.capacity_study.steady_state import LOADS, Steady, steady
from jobs.capacity_study.traffic import HOUR, Profile

Floats = npt.NDArray[np.float64]

SHORT_SECONDS, LONG_SECONDS = 0.1, 2.5
"""A step of up to an hour of traffic, and of more."""
ROUNDED = 3
"""Digits to which waits in seconds are told apart."""


def simulate(profile: Profile, measured: Measured, choice: Choice, seed: int) -> Outcome:
    """Lets the traffic flow through the service, in steps of a tenth of a second, or of 2.5 s."""
    step = SHORT_SECONDS if profile.seconds <= HOUR else LONG_SECONDS
    rates = profile.steps(step)
    spares = _by_chance(rates, choice, Work.of(measured, choice.vcpu))
    table = steady(measured, choice, max(round(float(np.average(spares, weights=rates))), 1), seed)
    flow = _Flow(measured, choice, table, rates, step)
    for number, spare in enumerate(spares.tolist()):
        flow.pass_step(number, spare)
    return Outcome(
        seconds=profile.seconds,
        requests=float(flow.arrived[-1]),
        refused=float(flow.refused.sum()),
        latencies=_latencies(flow, table),
        starts=flow.starts,
        peak_instances=flow.peak,
        instance_seconds=flow.instance_seconds,
        active_seconds=flow.active_seconds,
        start_seconds=flow.starts * measured.start_s,
        idle_seconds=flow.idle_seconds,
    )


class _Flow:
    """The service at one moment, and what it has been up to then."""

    def __init__(self, measured: Measured, choice: Choice, table: Steady, rates: Floats, step: float) -> None:
        self._work = Work.of(measured, choice.vcpu)
        self._choice = choice
        self._table = table
        self.step = step
        self._most = choice.rate(self._work) * step
        """Requests that one instance can do in a step."""
        self._start_steps = math.ceil(measured.start_s / step)
        self._idle_steps = round(IDLE_SECONDS / step)
        self._window_steps = round(WINDOW_SECONDS / step)
        self._decision_steps = round(DECISION_SECONDS / step)
        self._patience_steps = round(pending_seconds(measured) / step)
        before = float(rates[0])
        self._autoscaler = Autoscaler(choice, self._work, before)
        self._running = self._autoscaler.wanted if before * IDLE_SECONDS >= 1 else choice.min_instances
        self._starting: deque[tuple[int, int]] = deque()
        """In which step they will run, and how many."""
        self._used: deque[tuple[int, int]] = deque()
        """Steps with how many instances each had use for: descending, none older than an instance idles."""
        self._all_until = 0
        """Until this step every instance takes requests."""
        self._backlog = self._gone = 0.0
        """Requests that nobody works on, and those that are done or refused."""
        self._cpu_seconds = self._here_seconds = 0.0
        self.arrives = rates * step
        self.arrived = np.cumsum(self.arrives)
        self.done, self.refused, self.loads = (np.zeros(len(rates)) for _ in range(3))
        """By step."""
        self.starts = 0
        self.peak = self._running
        self.instance_seconds = self.active_seconds = self.idle_seconds = 0.0

    def pass_step(self, number: int, spare: int) -> None:
        """One step.

        Args:
            spare: instances that by chance are all needed at once, now and then.
        """
        while self._starting and self._starting[0][0] <= number:
            self._running += self._starting.popleft()[1]
        places = self._choice.concurrency
        serving = min(self._autoscaler.wanted, self._running)
        if number < self._all_until or self._backlog >= serving * places:
            serving = self._running
        come = float(self.arrives[number])
        done = min(self._backlog + come, serving * self._most)
        self._backlog += come - done
        # Without a backlog those that find an instance busy go to another, so the load is that of all.
        sharing = serving if self._backlog else self._running
        load = done / (sharing * self._most) if sharing else 0.0
        here = self._backlog + done / self.step * self._table.mean(load)
        if here > self._running * places:
            self._all_until = number + self._window_steps
        needed = max(math.ceil(here / places), spare)
        self._begin(number, needed)
        self._note(done, serving, here)
        self._expire(number, max(self._autoscaler.wanted, needed))
        self._gone += done
        self.done[number], self.loads[number] = done, load
        if number >= self._patience_steps and self._backlog:
            placed = min(here, self._running * places)
            late = float(self.arrived[number - self._patience_steps]) - self._gone - placed
            self.refused[number] = refused = min(max(late, 0.0), self._backlog)
            self._backlog -= refused
            self._gone += refused
        if (number + 1) % self._decision_steps == 0:
            self._decide(number)

    @property
    def _there(self) -> int:
        return self._running + sum(count for _, count in self._starting)

    def _begin(self, number: int, wanted: int) -> None:
        count = min(wanted, self._choice.max_instances) - self._there
        if count > 0:
            self._starting.append((number + self._start_steps, count))
            self.starts += count
            self.peak = max(self.peak, self._there)

    def _note(self, done: float, serving: int, here: float) -> None:
        active = self._active(done / self.step, serving)
        self.active_seconds += active * self.step
        self.idle_seconds += max(self._choice.min_instances - active, 0.0) * self.step
        self.instance_seconds += self._there * self.step
        self._cpu_seconds += done * self._work.service
        self._here_seconds += here * self.step

    def _active(self, rate: float, serving: int) -> float:
        """Instances that are billed for having requests: those that serve, and those that take the rest."""
        places = serving * self._choice.concurrency
        left = rate * _blocked(rate * (self._work.service + self._work.wait), places)
        most = self._most / self.step
        return sum(
            count * self._table.share(some / (count * most))
            for count, some in ((serving, rate - left), (self._running - serving, left))
            if count
        )

    def _expire(self, number: int, needed: int) -> None:
        """Ends what nobody had use for during the time for which instances are kept."""
        while self._used and self._used[-1][1] <= needed:
            self._used.pop()
        self._used.append((number, max(needed, self._choice.min_instances)))
        if self._used[0][0] <= number - self._idle_steps:
            self._used.popleft()
            self._running = min(self._running, self._used[0][1])

    def _decide(self, number: int) -> None:
        wanted = self._autoscaler.decide(
            self._cpu_seconds / DECISION_SECONDS, self._here_seconds / DECISION_SECONDS
        )
        self._cpu_seconds = self._here_seconds = 0.0
        self._begin(number, wanted)


def _by_chance(rates: Floats, choice: Choice, work: Work) -> npt.NDArray[np.int64]:
    """Instances that are all needed at once, by chance, about once while an instance idles."""
    different, which = np.unique(rates, return_inverse=True)
    needed = [_needed_by_chance(rate, choice, work) for rate in different.tolist()]
    return np.array(needed, dtype=np.int64)[which]


def _needed_by_chance(rate: float, choice: Choice, work: Work) -> int:
    rare = min(1 / max(rate * IDLE_SECONDS, 1.0), 0.5)
    deviations = NormalDist().inv_cdf(1 - rare)
    # Poisson's quantile: the normal one, corrected for the skew.
    busy = rate * (work.service + work.wait)
    requests = busy + deviations * math.sqrt(busy) + (deviations**2 - 1) / 6
    # Of so many averages over a window, the highest is two standard deviations above the middle.
    highest = rate + 2 * math.sqrt(rate / WINDOW_SECONDS)
    return max(choice.bounded(requests / choice.concurrency), choice.instances_for(highest, work))


@functools.lru_cache(maxsize=100_000)
def _blocked(requests: float, places: int) -> float:
    """Erlang's B formula: the share that finds all places taken.

    Args:
        requests: there at once, on average, if there were places for all.
    """
    if places > requests + 10 * math.sqrt(requests + 1):
        return 0.0
    blocked = 1.0
    for place in range(1, places + 1):
        blocked = requests * blocked / (place + requests * blocked)
    return blocked


def _latencies(flow: _Flow, table: Steady) -> Latencies:
    """Of the requests that were done: how long each waited in the backlog, and what its load did to it."""
    steps = len(flow.arrives)
    ends = np.arange(1, steps + 1) * flow.step
    gone = flow.done + flow.refused
    left = np.cumsum(gone)
    leave = np.interp(flow.arrived - flow.arrives / 2, left, ends)
    waited = np.maximum(leave - ends, 0.0)
    waited[flow.arrived - left < 1e-6 * flow.arrived] = 0.0  # nothing is left of the step at its own end
    at = np.minimum((leave / flow.step).astype(int), steps - 1)
    answered = flow.arrives * np.divide(flow.done[at], gone[at], out=np.ones(steps), where=gone[at] > 0)
    # A load lies between two of the table. Steps alike in load and wait become one.
    upper = np.clip(np.searchsorted(LOADS, flow.loads), 1, len(LOADS) - 1)
    share = np.clip((flow.loads - LOADS[upper - 1]) / np.diff(LOADS)[upper - 1], 0.0, 1.0)
    kinds = np.column_stack([np.concatenate([upper - 1, upper]), np.tile(np.round(waited, ROUNDED), 2)])
    alike, which = np.unique(kinds, axis=0, return_inverse=True)
    counts = np.bincount(which.ravel(), np.concatenate([answered * (1 - share), answered * share]))
    some = counts > 0
    points = table.latencies[alike[some, 0].astype(int)] + alike[some, 1][:, None]
    return Latencies.of(points.ravel(), np.repeat(counts[some] / points.shape[1], points.shape[1]))
