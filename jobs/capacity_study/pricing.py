"""What a month costs: Google's list prices of a tier 1 region, seen in 2026, without the free quotas.

Google's pages "Cloud Run pricing" and "Pub/Sub pricing"; dollars.
"""

import math

from jobs.capacity_study.cloud_run import Choice
from jobs.capacity_study.result import Outcome
from jobs.capacity_study.service_profile import Measured

MONTH_SECONDS = 30 * 24 * 3600
MILLION = 1e6
TIB = 2**40

ACTIVE_VCPU_SECOND, ACTIVE_GIB_SECOND = 24e-6, 2.5e-6
IDLE_VCPU_SECOND, IDLE_GIB_SECOND = 2.5e-6, 2.5e-6
REQUEST = 0.4 / MILLION
"""These with request-based billing."""
WHOLE_VCPU_SECOND, WHOLE_GIB_SECOND = 18e-6, 2e-6
"""With instance-based billing, as long as an instance exists."""
PUBSUB_TIB = 40.0
"""For what is published, and again for what is delivered."""
BIGQUERY_TIB = 50.0
"""For what a BigQuery subscription writes."""

SMALLEST_GIB = 0.5
"""What Cloud Run's second generation of execution environments asks for."""
HEADROOM = 2.0
"""Of memory: requests that are held under overload come on top of what was measured."""


def memory_gib(measured: Measured) -> float:
    """The memory to give an instance: a power of two, in GiB."""
    needed = measured.memory_mb * 1e6 * HEADROOM / 2**30
    return max(SMALLEST_GIB, float(2 ** math.ceil(math.log2(needed))))


def cloud_run(outcome: Outcome, measured: Measured, choice: Choice) -> dict[str, float]:
    """A month of such traffic, in dollars, by the billing's name; less than a vCPU has only the first."""
    gib = memory_gib(measured)
    active = outcome.active_seconds + outcome.start_seconds
    by_request = (
        active * (choice.vcpu * ACTIVE_VCPU_SECOND + gib * ACTIVE_GIB_SECOND)
        + outcome.idle_seconds * (choice.vcpu * IDLE_VCPU_SECOND + gib * IDLE_GIB_SECOND)
        + outcome.requests * REQUEST
    )
    bills = {"request": by_request}
    if choice.vcpu >= 1:
        whole = choice.vcpu * WHOLE_VCPU_SECOND + gib * WHOLE_GIB_SECOND
        bills["instance"] = outcome.instance_seconds * whole
    return {name: dollars * MONTH_SECONDS / outcome.seconds for name, dollars in bills.items()}


def cheaper(bills: dict[str, float]) -> str:
    """The billing that costs less."""
    return min(bills, key=lambda name: bills[name])


def messages(events: float, measured: Measured) -> float:
    """So many events in and predictions out, and these into BigQuery, in dollars."""
    return events * measured.event_bytes / TIB * (2 * PUBSUB_TIB + PUBSUB_TIB + BIGQUERY_TIB)
