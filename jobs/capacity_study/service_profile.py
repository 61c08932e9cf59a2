"""What was measured of the functions, and all that a simulation needs to know about them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """Figures of one process on one vCPU."""

    service_ms: float
    """CPU time of a request with one ride, or of one event."""
    wait_ms: float
    """Waiting for others, without CPU: for Pub/Sub to confirm a prediction."""
    event_bytes: float
    """Of an event and of its prediction each, as Pub/Sub counts them: 1,000 at least; 0 without Pub/Sub."""
    start_s: float = 1.2
    """From the start of a process to its first answer."""
    memory_mb: float = 100.0
    """Of a process under load."""


FUNCTIONS = {
    "predict_event": Measured(
        service_ms=0.31, wait_ms=1.0, event_bytes=1000.0, start_s=0.41, memory_mb=127.0
    ),
    "predict": Measured(service_ms=0.11, wait_ms=0.0, event_bytes=0.0, start_s=0.35, memory_mb=118.0),
}
"""The one place of the measured figures; every plan rests on them. From a run of `make bench` in a quiet
hour, all of which was a third faster than that in docs/performance.md: a thousandth of what one process does
in a second at 8 connections, p50 at one in flight without the service, first answer."""


@dataclass(frozen=True)
class Work:
    """One request, as an instance of some size does it; seconds."""

    service: float
    """On a CPU."""
    wait: float
    """Afterwards, without a CPU, but with one of the instance's places taken."""

    @classmethod
    def of(cls, measured: Measured, vcpu: float) -> "Work":
        """A process runs on one core: more vCPU make no request faster, less than one make it slower."""
        return cls(measured.service_ms / 1000 / min(vcpu, 1.0), measured.wait_ms / 1000)
