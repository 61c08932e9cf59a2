"""Compares the fluid approximation with the exact simulation, where both are feasible."""

import numpy as np
import pytest

from jobs.capacity_study import discrete_event, fluid
from jobs.capacity_study.cloud_run import ServiceConfig
from jobs.capacity_study.service_profile import ServiceProfile
from jobs.capacity_study.traffic import TrafficProfile, burst, taxi_day

pytestmark = pytest.mark.slow

PROFILE = ServiceProfile(service_ms=6, wait_ms=30, event_bytes=1000)
"""Ten times an event's times, so that the same requests need ten times as many instances."""

CONFIGS = [
    ServiceConfig(concurrency=1),
    ServiceConfig(concurrency=8),
    ServiceConfig(concurrency=80, min_instances=1),
    ServiceConfig(concurrency=1000),
    ServiceConfig(concurrency=80, vcpu=2),
    ServiceConfig(concurrency=1, vcpu=0.5),
]


def both(traffic, config, profile=PROFILE):
    return [simulation.simulate(traffic, profile, config, 1) for simulation in (discrete_event, fluid)]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_steady_traffic(config):
    exact, approx = both(TrafficProfile("", "", 600.0, np.array([170.0])), config)

    assert approx.peak_instances == pytest.approx(exact.peak_instances, rel=0.2, abs=1)
    assert approx.instance_seconds == pytest.approx(exact.instance_seconds, rel=0.15)
    assert approx.active_seconds == pytest.approx(exact.active_seconds, rel=0.15)
    for share in (0.5, 0.99):
        assert approx.latencies.quantile(share) == pytest.approx(exact.latencies.quantile(share), rel=0.15)


@pytest.mark.parametrize("config", CONFIGS[:4], ids=str)
def test_a_day_in_two_hours(config):
    hours = TrafficProfile("", "", 7300.0, taxi_day(20.0).rates)

    exact, approx = both(hours, config)

    assert approx.requests == pytest.approx(exact.requests, rel=0.02)
    assert approx.peak_instances == pytest.approx(exact.peak_instances, rel=0.2, abs=2)
    assert approx.active_seconds == pytest.approx(exact.active_seconds, rel=0.15)
    for share in (0.5, 0.99):
        assert approx.latencies.quantile(share) == pytest.approx(exact.latencies.quantile(share), rel=0.25)


@pytest.mark.parametrize("config", CONFIGS[:3], ids=str)
def test_a_burst(config):
    exact, approx = both(burst(20.0), config)

    assert approx.peak_instances == pytest.approx(exact.peak_instances, rel=0.2, abs=2)
    assert approx.instance_seconds == pytest.approx(exact.instance_seconds, rel=0.2)
    assert approx.active_seconds == pytest.approx(exact.active_seconds, rel=0.2)
    assert approx.latencies.quantile(0.5) == pytest.approx(exact.latencies.quantile(0.5), rel=0.1)
    # The documented error of the approximation.
    tolerance = config.concurrency * PROFILE.service_ms / 1000
    assert approx.latencies.quantile(0.99) == pytest.approx(
        exact.latencies.quantile(0.99), rel=0.25, abs=tolerance
    )


def test_overload():
    exact, approx = both(TrafficProfile("", "", 120.0, np.array([500.0])), ServiceConfig(80, 0, 2))

    assert approx.rejected == pytest.approx(exact.rejected, rel=0.1)
    assert approx.latencies.quantile(0.5) == pytest.approx(exact.latencies.quantile(0.5), rel=0.1)
