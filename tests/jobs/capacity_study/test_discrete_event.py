import math
from dataclasses import replace

import numpy as np
import pytest

from jobs.capacity_study.cloud_run import ServiceConfig
from jobs.capacity_study.discrete_event import BILLED_SECONDS, replay, simulate
from jobs.capacity_study.service_profile import ServiceProfile
from jobs.capacity_study.traffic import TrafficProfile, burst

PLAIN = ServiceProfile(service_ms=10, wait_ms=0, event_bytes=0, start_s=2)
SERVICE = 0.01


def steady(rate, seconds=2000.0):
    return TrafficProfile("", "", seconds, np.array([rate]))


def at(arrivals, config, profile=PLAIN, before=0.0, seconds=100.0):
    """Simulates requests at these times, after a minute at the rate `before`."""
    traffic = TrafficProfile("", "", seconds, np.array([before, 0.0]))
    services = np.full(len(arrivals), profile.service_ms / 1000)
    return replay(np.array(arrivals), services, traffic, profile, config, 1)


def fixed(instances, concurrency=1000):
    return ServiceConfig(concurrency, min_instances=instances, max_instances=instances)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.9])
def test_one_instance_waits_as_the_md1_queue(load):
    """Pollaczek–Khinchine formula: with constant service times s the mean wait is ρs / 2(1 − ρ)."""
    result = simulate(steady(load / SERVICE), PLAIN, fixed(1), seed=1)

    assert result.latencies.mean() - SERVICE == pytest.approx(load * SERVICE / (2 * (1 - load)), rel=0.1)


def test_single_slot_instances_wait_as_the_mmc_queue():
    """Erlang C formula, with exponential service times."""
    servers, load = 4, 0.8
    traffic = steady(servers * load / SERVICE, 400.0)
    arrivals = traffic.arrivals(2)
    services = np.random.default_rng(3).exponential(SERVICE, len(arrivals))

    result = replay(arrivals, services, traffic, PLAIN, fixed(servers, 1), seed=4)

    offered = servers * load
    all_busy = offered**servers / math.factorial(servers) / (1 - load)
    some_free = sum(offered**busy / math.factorial(busy) for busy in range(servers))
    wait = all_busy / (some_free + all_busy) * SERVICE / (servers * (1 - load))
    assert result.latencies.mean() - services.mean() == pytest.approx(wait, rel=0.1)


def test_instances_have_separate_queues():
    result = simulate(steady(4 * 0.6 / SERVICE, 500.0), PLAIN, fixed(4), seed=1)

    assert result.latencies.mean() - SERVICE == pytest.approx(0.6 * SERVICE / 0.8, rel=0.1)


def test_the_first_request_waits_for_the_start():
    result = at([1.0, 50.0], ServiceConfig())

    assert result.starts == 1
    assert result.latencies.seconds.tolist() == pytest.approx([SERVICE, 2 + SERVICE])
    assert result.start_seconds == 2


def test_a_minimum_instance_avoids_the_start():
    result = at([1.0, 50.0], ServiceConfig(min_instances=1))

    assert result.starts == 0
    assert result.latencies.seconds.tolist() == pytest.approx([SERVICE, SERVICE])
    assert result.idle_seconds == pytest.approx(100 - 2 * BILLED_SECONDS)


def test_an_instance_is_kept_for_a_quarter_of_an_hour():
    arrivals = [0.0, 800.0, 1800.0]

    assert at(arrivals, ServiceConfig(), seconds=2000.0).starts == 2


def test_a_slot_is_taken_while_the_request_waits():
    waiting = replace(PLAIN, wait_ms=90)

    alone = at([1.0, 1.0], fixed(1, 1), waiting)
    together = at([1.0, 1.0], fixed(1, 2), waiting)

    assert alone.latencies.seconds.tolist() == pytest.approx([0.1, 0.2])
    assert together.latencies.seconds.tolist() == pytest.approx([0.1, 0.11])


def test_a_second_cpu_works_on_a_second_request():
    one, two = (at([1.0, 1.0], ServiceConfig(80, 1, 1, vcpu)) for vcpu in (1, 2))

    assert one.latencies.seconds.tolist() == pytest.approx([SERVICE, 2 * SERVICE])
    assert two.latencies.seconds.tolist() == pytest.approx([SERVICE, SERVICE])


def test_a_request_that_waits_too_long_for_a_slot_is_rejected():
    result = simulate(TrafficProfile("", "", 60.0, np.array([300.0])), PLAIN, fixed(1, 10), seed=1)

    assert result.rejected > 0.5 * result.requests
    # Ten seconds for a slot, then nine others that have one.
    assert result.latencies.quantile(1) == pytest.approx(10 + 10 * SERVICE, abs=0.02)


def test_a_burst_starts_instances_that_then_serve():
    result = simulate(burst(10.0), PLAIN, ServiceConfig(concurrency=8), seed=1)

    assert result.rejected == 0
    assert result.peak_instances > 3
    assert result.latencies.quantile(0.5) < 2 * SERVICE


def test_billing_is_in_tenths_of_a_second_from_the_first_request():
    near = at([1.0, 1.05, 1.09], fixed(1))
    far = at([1.0, 1.5], fixed(1))
    assert near.active_seconds == pytest.approx(BILLED_SECONDS)
    assert far.active_seconds == pytest.approx(2 * BILLED_SECONDS)


def test_the_same_seed_gives_the_same_result():
    first, second, other = (simulate(burst(5.0), PLAIN, ServiceConfig(), seed) for seed in (1, 1, 2))

    assert np.array_equal(first.latencies.seconds, second.latencies.seconds)
    assert not np.array_equal(first.latencies.seconds, other.latencies.seconds)
