"""Monthly cost in dollars: Google's list prices for a tier 1 region in 2026, without the free quotas.

From Google's pages "Cloud Run pricing" and "Pub/Sub pricing".
"""

import math

from jobs.capacity_study.cloud_run import ServiceConfig
from jobs.capacity_study.result import SimulationResult
from jobs.capacity_study.service_profile import ServiceProfile

MONTH_SECONDS = 30 * 24 * 3600
MILLION = 1e6
TIB = 2**40

ACTIVE_VCPU_SECOND, ACTIVE_GIB_SECOND = 24e-6, 2.5e-6
IDLE_VCPU_SECOND, IDLE_GIB_SECOND = 2.5e-6, 2.5e-6
REQUEST = 0.4 / MILLION
"""Prices of request-based billing."""
WHOLE_VCPU_SECOND, WHOLE_GIB_SECOND = 18e-6, 2e-6
"""Prices of instance-based billing, for an instance's whole lifetime."""
PUBSUB_TIB = 40.0
"""For publishing, and again for delivery."""
BIGQUERY_TIB = 50.0
"""For writing by a BigQuery subscription."""

SMALLEST_GIB = 0.5
"""Minimum of Cloud Run's second-generation execution environment."""
HEADROOM = 2.0
"""Factor on the measured memory, for requests that are held under overload."""


def memory_gib(profile: ServiceProfile) -> float:
    """Returns the memory to configure for an instance: a power of two, in GiB."""
    needed = profile.memory_mb * 1e6 * HEADROOM / 2**30
    return max(SMALLEST_GIB, float(2 ** math.ceil(math.log2(needed))))


def cloud_run_costs(
    result: SimulationResult, profile: ServiceProfile, config: ServiceConfig
) -> dict[str, float]:
    """Returns the dollars for a month of such traffic, by billing model.

    The models are `request` and, with at least one vCPU, `instance`.
    """
    gib = memory_gib(profile)
    active = result.active_seconds + result.start_seconds
    by_request = (
        active * (config.vcpu * ACTIVE_VCPU_SECOND + gib * ACTIVE_GIB_SECOND)
        + result.idle_seconds * (config.vcpu * IDLE_VCPU_SECOND + gib * IDLE_GIB_SECOND)
        + result.requests * REQUEST
    )
    costs = {"request": by_request}
    if config.vcpu >= 1:
        whole = config.vcpu * WHOLE_VCPU_SECOND + gib * WHOLE_GIB_SECOND
        costs["instance"] = result.instance_seconds * whole
    return {name: dollars * MONTH_SECONDS / result.seconds for name, dollars in costs.items()}


def cheapest(costs: dict[str, float]) -> str:
    """Returns the billing model that costs less."""
    return min(costs, key=lambda name: costs[name])


def message_cost(events: float, profile: ServiceProfile) -> float:
    """Returns the dollars for so many events in and predictions out, the latter also written to BigQuery."""
    return events * profile.event_bytes / TIB * (2 * PUBSUB_TIB + PUBSUB_TIB + BIGQUERY_TIB)
