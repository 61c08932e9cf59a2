"""Traffic through a service: request by request as long as that is affordable, else as a fluid."""

from jobs.capacity import exact, fluid
from jobs.capacity.cloud_run import Choice
from jobs.capacity.measured import Measured
from jobs.capacity.outcome import Outcome
from jobs.capacity.traffic import Profile

MOST_REQUESTS = 400_000
"""That are simulated one by one: a second's work."""


def simulate(profile: Profile, measured: Measured, choice: Choice, seed: int) -> Outcome:
    """What the traffic brings; the same for the same seed."""
    if profile.mean * profile.seconds <= MOST_REQUESTS:
        return exact.simulate(profile, measured, choice, seed)
    return fluid.simulate(profile, measured, choice, seed)
