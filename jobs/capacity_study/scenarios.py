"""What is simulated for a plan: scales of traffic for one choice, and choices for some kinds of traffic."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobs.capacity_study.cloud_run import Choice, ImpossibleChoice
from jobs.capacity_study.pricing import MILLION, MONTH_SECONDS, cheaper, cloud_run, messages
from jobs.capacity_study.quotas import Limit, ladder
from jobs.capacity_study.result import Outcome
from jobs.capacity_study.service_profile import Measured
from jobs.capacity_study.simulation import simulate
from jobs.capacity_study.traffic import Floats, Profile, taxi_day

SCALES = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)
"""Requests or events a second, on average over the day."""
SCALES_CHOICE = Choice(concurrency=80, min_instances=1, max_instances=1000)


@dataclass(frozen=True)
class Planned:
    """A choice, a stretch of traffic, and what comes of them."""

    profile: Profile
    measured: Measured
    choice: Choice
    outcome: Outcome

    @classmethod
    def of(cls, profile: Profile, measured: Measured, choice: Choice, seed: int) -> "Planned":
        return cls(profile, measured, choice, simulate(profile, measured, choice, seed))

    @property
    def bills(self) -> dict[str, float]:
        """Cloud Run's, in dollars a month, by the name of the billing."""
        return cloud_run(self.outcome, self.measured, self.choice)

    @property
    def billing(self) -> str:
        """The cheaper one's name."""
        return cheaper(self.bills)

    @property
    def dollars(self) -> float:
        """Cloud Run's, a month, with the cheaper billing."""
        return self.bills[self.billing]

    @property
    def message_dollars(self) -> float:
        """Pub/Sub's and BigQuery's, a month."""
        return messages(self.monthly, self.measured)

    @property
    def monthly(self) -> float:
        """Requests or events in a month."""
        return self.outcome.requests / self.outcome.seconds * MONTH_SECONDS

    @property
    def dollars_per_million(self) -> float:
        """Of all together, for a million requests or events."""
        return (self.dollars + self.message_dollars) / self.monthly * MILLION

    def latency_ms(self, share: float) -> float:
        """Such a share of the requests took no longer; without the network."""
        return 1000 * self.outcome.latencies.quantile(share)

    def answers_within(self, milliseconds: float) -> bool:
        """Whether 99 of 100 requests took no longer, and none was refused."""
        return self.outcome.refused == 0 and self.latency_ms(0.99) <= milliseconds


@dataclass(frozen=True)
class Scale:
    """A day of traffic at some scale."""

    rate: float
    planned: Planned
    met: list[Limit]
    """Limits that its peak meets, and that no smaller scale has met."""
    ahead: Limit | None
    """The next one."""


def scales(measured: Measured, seed: int, counts: Floats | None) -> list[Scale]:
    """Days at each of `SCALES`.

    Args:
        counts: see `taxi_day`.
    """
    limits = ladder(measured, SCALES_CHOICE)
    found = []
    met_before = 0
    for rate in SCALES:
        day = taxi_day(rate, counts)
        met = sum(limit.rate <= day.peak for limit in limits)
        planned = Planned.of(day, measured, SCALES_CHOICE, seed)
        found.append(Scale(rate, planned, limits[met_before:met], limits[met] if met < len(limits) else None))
        met_before = met
    return found


def choices(
    concurrency: Iterable[int], min_instances: Sequence[int], max_instances: int, vcpu: Iterable[float]
) -> list[Choice]:
    """All settings together that Cloud Run takes.

    Raises:
        ImpossibleChoice: it takes none of them.
    """
    possible, impossible = [], []
    pairs = [(cpus, places) for cpus in vcpu for places in concurrency]
    for cpus, places in pairs:
        for least in min_instances:
            try:
                possible.append(Choice(places, least, max_instances, cpus))
            except ImpossibleChoice as error:
                impossible.append(error)
    if not possible:
        raise impossible[0]
    return possible


@dataclass(frozen=True)
class Recommendation:
    """For one kind of traffic."""

    profile: Profile
    cheapest: Planned
    """That refuses nothing."""
    quick: Planned | None
    """The cheapest that is quick enough; None if none is."""


def recommend(planned: Sequence[Planned], milliseconds: float) -> Recommendation:
    """The best of several choices for the same traffic; of nearly equal ones the nearest to the defaults.

    Args:
        milliseconds: quick enough for 99 of 100 requests.
    """
    usual = Choice()

    def key(each: Planned) -> tuple[float, float, float]:
        away = abs(math.log(each.choice.concurrency / usual.concurrency))
        return float(f"{each.dollars:.2g}"), float(f"{each.latency_ms(0.99):.1g}"), away

    ordered = sorted((each for each in planned if not each.outcome.refused), key=key) or list(planned)
    quick = [each for each in ordered if each.answers_within(milliseconds)]
    return Recommendation(planned[0].profile, ordered[0], quick[0] if quick else None)
