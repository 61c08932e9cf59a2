"""Traffic through a service: request by request as long as that is affordable, else as a fluid."""

from jobs.capacity_study import discrete_event, fluid
from jobs.capacity_study.cloud_run import Choice
from jobs.capacity_study.result import Outcome
from jobs.capacity_study.service_profile import Measured
from jobs.capacity_study.traffic import Profile

MOST_REQUESTS = 400_000
"""That are simulated one by one: a second's work."""


def simulate(profile: Profile, measured: Measured, choice: Choice, seed: int) -> Outcome:
    """What the traffic brings; the same for the same seed."""
    if profile.mean * profile.seconds <= MOST_REQUESTS:
        return discrete_event.simulate(profile, measured, choice, seed)
    return fluid.simulate(profile, measured, choice, seed)
