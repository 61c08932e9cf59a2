"""The simulated scenarios: several scales of traffic for one configuration, and configurations to compare."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobs.capacity_study.cloud_run import InvalidServiceConfig, ServiceConfig
from jobs.capacity_study.pricing import MILLION, MONTH_SECONDS, cheapest, cloud_run_costs, message_cost
from jobs.capacity_study.quotas import Bottleneck, bottlenecks
from jobs.capacity_study.result import SimulationResult
from jobs.capacity_study.service_profile import ServiceProfile
from jobs.capacity_study.simulation import simulate
from jobs.capacity_study.traffic import Floats, TrafficProfile, taxi_day

SCALES = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)
"""Requests or events a second, on average over the day."""
SCALES_CONFIG = ServiceConfig(concurrency=80, min_instances=1, max_instances=1000)


@dataclass(frozen=True)
class Scenario:
    """A service with a configuration under some traffic, and the simulation's result."""

    traffic: TrafficProfile
    profile: ServiceProfile
    config: ServiceConfig
    result: SimulationResult

    @classmethod
    def simulated(
        cls, traffic: TrafficProfile, profile: ServiceProfile, config: ServiceConfig, seed: int
    ) -> "Scenario":
        """Simulates the scenario."""
        return cls(traffic, profile, config, simulate(traffic, profile, config, seed))

    @property
    def costs(self) -> dict[str, float]:
        """Cloud Run's dollars a month, by billing model."""
        return cloud_run_costs(self.result, self.profile, self.config)

    @property
    def billing(self) -> str:
        """The cheaper billing model."""
        return cheapest(self.costs)

    @property
    def dollars(self) -> float:
        """Cloud Run's dollars a month, with the cheaper billing model."""
        return self.costs[self.billing]

    @property
    def message_dollars(self) -> float:
        """Dollars a month for Pub/Sub and its BigQuery subscription."""
        return message_cost(self.monthly_requests, self.profile)

    @property
    def monthly_requests(self) -> float:
        """Requests or events a month."""
        return self.result.requests / self.result.seconds * MONTH_SECONDS

    @property
    def dollars_per_million(self) -> float:
        """Total dollars for a million requests or events."""
        return (self.dollars + self.message_dollars) / self.monthly_requests * MILLION

    def latency_ms(self, share: float) -> float:
        """Returns the latency that this share of the requests does not exceed, without the network."""
        return 1000 * self.result.latencies.quantile(share)

    def is_fast(self, max_ms: float) -> bool:
        """Whether p99 is at most `max_ms`, and no request is rejected."""
        return self.result.rejected == 0 and self.latency_ms(0.99) <= max_ms


@dataclass(frozen=True)
class Scale:
    """A day of traffic at some mean rate."""

    rate: float
    scenario: Scenario
    reached: list[Bottleneck]
    """Limits that the day's peak reaches and no smaller scale does."""
    next: Bottleneck | None
    """The first limit that it does not reach."""


def simulate_scales(profile: ServiceProfile, seed: int, rides_by_part: Floats | None) -> list[Scale]:
    """Simulates a day at each of `SCALES`.

    Args:
        rides_by_part: see `taxi_day`.
    """
    limits = bottlenecks(profile, SCALES_CONFIG)
    scales = []
    reached_before = 0
    for rate in SCALES:
        day = taxi_day(rate, rides_by_part)
        reached = sum(limit.rate <= day.peak for limit in limits)
        scenario = Scenario.simulated(day, profile, SCALES_CONFIG, seed)
        next_limit = limits[reached] if reached < len(limits) else None
        scales.append(Scale(rate, scenario, limits[reached_before:reached], next_limit))
        reached_before = reached
    return scales


def service_configs(
    concurrency: Iterable[int], min_instances: Sequence[int], max_instances: int, vcpu: Iterable[float]
) -> list[ServiceConfig]:
    """Returns all combinations that Cloud Run accepts.

    Raises:
        InvalidServiceConfig: it accepts none.
    """
    valid, errors = [], []
    for vcpus, slots in [(vcpus, slots) for vcpus in vcpu for slots in concurrency]:
        for minimum in min_instances:
            try:
                valid.append(ServiceConfig(slots, minimum, max_instances, vcpus))
            except InvalidServiceConfig as error:
                errors.append(error)
    if not valid:
        raise errors[0]
    return valid


@dataclass(frozen=True)
class Recommendation:
    """The best configurations for one kind of traffic."""

    traffic: TrafficProfile
    cheapest: Scenario
    """The cheapest that rejects no request."""
    fast: Scenario | None
    """The cheapest that is fast enough; None if none is."""


def recommend(scenarios: Sequence[Scenario], max_ms: float) -> Recommendation:
    """Chooses among configurations for the same traffic; among nearly equal ones, those nearest the defaults.

    Args:
        max_ms: a p99 that is fast enough.
    """
    default = ServiceConfig()

    def key(scenario: Scenario) -> tuple[float, float, float]:
        distance = abs(math.log(scenario.config.concurrency / default.concurrency))
        return float(f"{scenario.dollars:.2g}"), float(f"{scenario.latency_ms(0.99):.1g}"), distance

    complete = [scenario for scenario in scenarios if not scenario.result.rejected]
    ordered = sorted(complete, key=key) or list(scenarios)
    fast = next((scenario for scenario in ordered if scenario.is_fast(max_ms)), None)
    return Recommendation(scenarios[0].traffic, ordered[0], fast)
