"""Measurements of the functions: what a simulation needs to know about them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServiceProfile:
    """Measurements of one process on one vCPU."""

    service_ms: float
    """CPU time of a request with one ride, or of one event."""
    wait_ms: float
    """Time for which a request waits without CPU, for Pub/Sub to acknowledge its prediction."""
    event_bytes: float
    """Size of an event, and of its prediction, as billed by Pub/Sub: at least 1,000; 0 without Pub/Sub."""
    start_s: float = 1.2
    """Time from the start of a process to its first answer."""
    memory_mb: float = 100.0
    """Memory of a process under load."""


FUNCTIONS = {
    "predict_event": ServiceProfile(
        service_ms=0.31, wait_ms=1.0, event_bytes=1000.0, start_s=0.41, memory_mb=127.0
    ),
    "predict": ServiceProfile(service_ms=0.11, wait_ms=0.0, event_bytes=0.0, start_s=0.35, memory_mb=118.0),
}
"""All studies are based on these measurements, from a run of `make bench` at a quiet time, which was a third
faster in everything than the one in docs/performance.md. CPU time is one second divided by the throughput of
one process at 8 connections; waiting time is p50 with one request in flight, minus the CPU time; start is the
time to the first answer."""


@dataclass(frozen=True)
class ServiceTimes:
    """How many seconds a request takes in an instance of a certain size."""

    service: float
    """Time on a CPU."""
    wait: float
    """Time after that, without CPU, but still in a slot of the instance."""

    @classmethod
    def from_profile(cls, profile: ServiceProfile, vcpu: float) -> "ServiceTimes":
        """A process runs on one core: more vCPUs make no request faster, less than one makes it slower."""
        return cls(profile.service_ms / 1000 / min(vcpu, 1.0), profile.wait_ms / 1000)
