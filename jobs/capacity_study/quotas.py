"""Quotas and other limits on traffic, in the order in which growing traffic reaches them.

Quotas are the defaults of a new project; the console's quota page shows a project's own. Google's pages are
named as they were in 2026. Quotas whose values could not be confirmed are left out.
"""

from dataclasses import dataclass

from jobs.capacity_study.cloud_run import MAX_INSTANCES, TARGET_UTILIZATION, ServiceConfig
from jobs.capacity_study.service_profile import ServiceProfile, ServiceTimes

REGION_VCPU = 1000
"""Google's example of a project's quota in one region."""
PUSH_BYTES, PUBLISH_BYTES = 440e6, 4e9
"""Bytes a second in one of Pub/Sub's large regions; other regions have less."""


@dataclass(frozen=True)
class Bottleneck:
    """A limit on traffic."""

    name: str
    label: str
    """Short name for a plot."""
    rate: float
    """Requests or events a second at which it is reached."""
    remedy: str
    source: str
    """The page of Google's documentation that states it."""


def bottlenecks(profile: ServiceProfile, config: ServiceConfig) -> list[Bottleneck]:
    """Returns the limits of a service, lowest rate first."""
    times = ServiceTimes.from_profile(profile, config.vcpu)
    max_rate = config.max_rate(times)
    resource = "concurrency" if max_rate < config.workers / times.service else "CPU"
    limits = [
        Bottleneck(
            f"one instance, {TARGET_UTILIZATION:.0%} of its {resource}",
            "one instance",
            TARGET_UTILIZATION * max_rate,
            "none needed: the autoscaler adds instances",
            "Cloud Run, About instance autoscaling",
        ),
        Bottleneck(
            f"{MAX_INSTANCES} instances, the default maximum of a revision",
            f"{MAX_INSTANCES} instances",
            MAX_INSTANCES * TARGET_UTILIZATION * max_rate,
            "set a higher maximum",
            "Cloud Run, Set maximum instances",
        ),
        Bottleneck(
            f"{REGION_VCPU:,} vCPU in a region",
            f"{REGION_VCPU:,} vCPU",
            REGION_VCPU / config.vcpu * TARGET_UTILIZATION * max_rate,
            "ask for more quota, or deploy to a second region",
            "Cloud Run, About maximum instances",
        ),
    ]
    if profile.event_bytes:
        limits += [
            Bottleneck(
                f"push deliveries of {PUSH_BYTES / 1e6:.0f} MB a second in a large region",
                f"push {PUSH_BYTES / 1e6:.0f} MB/s",
                PUSH_BYTES / profile.event_bytes,
                "ask for more quota, spread the topics over regions, or send lists of rides to `predict`",
                "Pub/Sub, Quotas and limits",
            ),
            Bottleneck(
                f"publishing {PUBLISH_BYTES / 1e9:.0f} GB a second in a large region, events and predictions",
                f"publish {PUBLISH_BYTES / 1e9:.0f} GB/s",
                PUBLISH_BYTES / (2 * profile.event_bytes),
                "ask for more quota, or spread the topics over regions",
                "Pub/Sub, Quotas and limits",
            ),
        ]
    return sorted(limits, key=lambda limit: limit.rate)
