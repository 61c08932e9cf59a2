"""What stands in the way of more traffic, in the order in which it is met.

Quotas are those that a project begins with; the project's own are on the console's page of quotas. Google's
pages are named as they were in 2026. A quota whose figure could not be confirmed is left out.
"""

from dataclasses import dataclass

from jobs.capacity_study.cloud_run import MOST_INSTANCES, TARGET, Choice
from jobs.capacity_study.service_profile import Measured, Work

REGION_VCPU = 1000
"""Google's own example of a project's quota in one region."""
PUSH_BYTES, PUBLISH_BYTES = 440e6, 4e9
"""A second, in one of Pub/Sub's large regions; others have less."""


@dataclass(frozen=True)
class Limit:
    """Something that does not go on for ever."""

    name: str
    label: str
    """The name in a picture."""
    rate: float
    """Requests or events a second at which it is met."""
    way: str
    """Past it."""
    source: str
    """Google's page that says so."""


def ladder(measured: Measured, choice: Choice) -> list[Limit]:
    """The limits of such a service, the first to be met first."""
    work = Work.of(measured, choice.vcpu)
    most = choice.rate(work)
    scarce = "places" if most < choice.workers / work.service else "CPU"
    limits = [
        Limit(
            f"one instance, {TARGET:.0%} of its {scarce}",
            "one instance",
            TARGET * most,
            "none needed: the autoscaler adds instances",
            "Cloud Run, About instance autoscaling",
        ),
        Limit(
            f"{MOST_INSTANCES} instances, the usual maximum of a revision",
            f"{MOST_INSTANCES} instances",
            MOST_INSTANCES * TARGET * most,
            "set a higher maximum",
            "Cloud Run, Set maximum instances",
        ),
        Limit(
            f"{REGION_VCPU:,} vCPU in a region",
            f"{REGION_VCPU:,} vCPU",
            REGION_VCPU / choice.vcpu * TARGET * most,
            "ask for more quota, or deploy to a second region",
            "Cloud Run, About maximum instances",
        ),
    ]
    if measured.event_bytes:
        limits += [
            Limit(
                f"push deliveries of {PUSH_BYTES / 1e6:.0f} MB a second in a large region",
                f"push {PUSH_BYTES / 1e6:.0f} MB/s",
                PUSH_BYTES / measured.event_bytes,
                "ask for more quota, spread the topics over regions, or send lists of rides to `predict`",
                "Pub/Sub, Quotas and limits",
            ),
            Limit(
                f"publishing {PUBLISH_BYTES / 1e9:.0f} GB a second in a large region, events and predictions",
                f"publish {PUBLISH_BYTES / 1e9:.0f} GB/s",
                PUBLISH_BYTES / (2 * measured.event_bytes),
                "ask for more quota, or spread the topics over regions",
                "Pub/Sub, Quotas and limits",
            ),
        ]
    return sorted(limits, key=lambda limit: limit.rate)
