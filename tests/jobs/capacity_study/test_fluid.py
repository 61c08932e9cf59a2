"""The fluid beside the exact simulation, where both can be afforded."""

import numpy as np
import pytest

from jobs.capacity_study import discrete_event, fluid
from jobs.capacity_study.cloud_run import Choice
from jobs.capacity_study.service_profile import Measured
from jobs.capacity_study.traffic import Profile, burst, taxi_day

MEASURED = Measured(service_ms=6, wait_ms=30, event_bytes=1000)
"""Ten times what an event takes: so both see ten times as many instances for the same requests."""

CHOICES = [
    Choice(concurrency=1),
    Choice(concurrency=8),
    Choice(concurrency=80, min_instances=1),
    Choice(concurrency=1000),
    Choice(concurrency=80, vcpu=2),
    Choice(concurrency=1, vcpu=0.5),
]


def both(profile, choice, measured=MEASURED):
    return [way.simulate(profile, measured, choice, 1) for way in (discrete_event, fluid)]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_steady_traffic(choice):
    true, found = both(Profile("", "", 600.0, np.array([170.0])), choice)

    assert found.peak_instances == pytest.approx(true.peak_instances, rel=0.2, abs=1)
    assert found.instance_seconds == pytest.approx(true.instance_seconds, rel=0.15)
    assert found.active_seconds == pytest.approx(true.active_seconds, rel=0.15)
    for share in (0.5, 0.99):
        assert found.latencies.quantile(share) == pytest.approx(true.latencies.quantile(share), rel=0.15)


@pytest.mark.parametrize("choice", CHOICES[:4], ids=str)
def test_a_day_in_two_hours(choice):
    hours = Profile("", "", 7300.0, taxi_day(20.0).rates)

    true, found = both(hours, choice)

    assert found.requests == pytest.approx(true.requests, rel=0.02)
    assert found.peak_instances == pytest.approx(true.peak_instances, rel=0.2, abs=2)
    assert found.active_seconds == pytest.approx(true.active_seconds, rel=0.15)
    for share in (0.5, 0.99):
        assert found.latencies.quantile(share) == pytest.approx(true.latencies.quantile(share), rel=0.25)


@pytest.mark.parametrize("choice", CHOICES[:3], ids=str)
def test_a_burst(choice):
    true, found = both(burst(20.0), choice)

    assert found.peak_instances == pytest.approx(true.peak_instances, rel=0.2, abs=2)
    assert found.instance_seconds == pytest.approx(true.instance_seconds, rel=0.2)
    assert found.active_seconds == pytest.approx(true.active_seconds, rel=0.2)
    assert found.latencies.quantile(0.5) == pytest.approx(true.latencies.quantile(0.5), rel=0.1)
    # It says itself by how much it may be too kind.
    kind = choice.concurrency * MEASURED.service_ms / 1000
    assert found.latencies.quantile(0.99) == pytest.approx(true.latencies.quantile(0.99), rel=0.25, abs=kind)


def test_more_than_all_instances_can_do():
    true, found = both(Profile("", "", 120.0, np.array([500.0])), Choice(80, 0, 2))

    assert found.refused == pytest.approx(true.refused, rel=0.1)
    assert found.latencies.quantile(0.5) == pytest.approx(true.latencies.quantile(0.5), rel=0.1)
