"""Simulates a service: request by request if there are not too many, else as a fluid."""

from jobs.capacity_study import discrete_event, fluid
from jobs.capacity_study.cloud_run import ServiceConfig
from jobs.capacity_study.result import SimulationResult
from jobs.capacity_study.service_profile import ServiceProfile
from jobs.capacity_study.traffic import TrafficProfile

MAX_REQUESTS = 400_000
"""So many requests are simulated one by one, in about a second."""


def simulate(
    traffic: TrafficProfile, profile: ServiceProfile, config: ServiceConfig, seed: int
) -> SimulationResult:
    """Simulates the traffic; the same seed gives the same result."""
    if traffic.mean * traffic.seconds <= MAX_REQUESTS:
        return discrete_event.simulate(traffic, profile, config, seed)
    return fluid.simulate(traffic, profile, config, seed)
