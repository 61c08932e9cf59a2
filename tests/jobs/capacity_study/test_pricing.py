import numpy as np
import pytest

from jobs.capacity_study.cloud_run import ServiceConfig
from jobs.capacity_study.pricing import MONTH_SECONDS, cheapest, cloud_run_costs, memory_gib, message_cost
from jobs.capacity_study.quotas import bottlenecks
from jobs.capacity_study.result import Latencies, SimulationResult
from jobs.capacity_study.service_profile import FUNCTIONS, ServiceProfile

GIB = ServiceProfile(service_ms=1, wait_ms=0, event_bytes=1000, memory_mb=500)
"""With headroom it needs an instance of 1 GiB."""


def month(requests=0.0, active=0.0, idle=0.0, instances=0.0):
    """A month's result; times are seconds of one instance."""
    no_latencies = Latencies.from_samples(np.array([]))
    return SimulationResult(MONTH_SECONDS, requests, 0, no_latencies, 0, 1, instances, active, 0, idle)


def test_a_warm_instance_costs_what_google_states():
    """1 vCPU and 1 GiB for a month: $12.96."""
    assert cloud_run_costs(month(idle=MONTH_SECONDS), GIB, ServiceConfig())["request"] == pytest.approx(12.96)


def test_a_million_requests_cost_cpu_memory_and_a_fee():
    """0.1 s each, one after the other: 100,000 s of 2 vCPU and 1 GiB, and $0.40."""
    cost = cloud_run_costs(month(requests=1e6, active=1e5), GIB, ServiceConfig(vcpu=2))["request"]

    assert cost == pytest.approx(1e5 * (2 * 2.4e-5 + 2.5e-6) + 0.4)


def test_instances_are_billed_for_their_lifetime_without_a_fee():
    costs = cloud_run_costs(month(requests=1e9, active=1e6, instances=MONTH_SECONDS), GIB, ServiceConfig())

    assert costs["instance"] == pytest.approx(MONTH_SECONDS * (1.8e-5 + 2e-6))
    assert cheapest(costs) == "instance"


def test_less_than_a_cpu_is_billed_by_request():
    assert list(cloud_run_costs(month(), GIB, ServiceConfig(1, vcpu=0.5))) == ["request"]


def test_messages_are_published_delivered_and_written():
    """One TiB of events is published and delivered, and one of predictions is published and written."""
    assert message_cost(2**40 / 1000, GIB) == pytest.approx(40 * 2 + 40 + 50)
    assert message_cost(1e9, FUNCTIONS["predict"]) == 0


def test_memory_is_a_power_of_two_with_headroom():
    assert [memory_gib(ServiceProfile(1, 0, 0, memory_mb=megabytes)) for megabytes in (100, 500, 600)] == [
        0.5,
        1,
        2,
    ]


def test_limits_are_in_the_order_in_which_they_are_reached():
    limits = bottlenecks(FUNCTIONS["predict_event"], ServiceConfig())

    rates = [limit.rate for limit in limits]
    assert rates == sorted(rates)
    assert "one instance" in limits[0].name
    assert all(limit.label and limit.remedy and limit.source for limit in limits)


def test_only_events_have_pubsub_limits():
    names = " ".join(limit.name for limit in bottlenecks(FUNCTIONS["predict"], ServiceConfig()))

    assert "push" not in names
    assert "publish" not in names


def test_concurrency_is_the_limit_where_requests_wait():
    waiting = ServiceProfile(service_ms=1, wait_ms=9, event_bytes=0)

    assert "concurrency" in bottlenecks(waiting, ServiceConfig(concurrency=1))[0].name
    assert "CPU" in bottlenecks(waiting, ServiceConfig())[0].name
