import numpy as np
import pytest

from jobs.capacity_study.cloud_run import Choice
from jobs.capacity_study.pricing import MONTH_SECONDS, cheaper, cloud_run, memory_gib, messages
from jobs.capacity_study.quotas import ladder
from jobs.capacity_study.result import Latencies, Outcome
from jobs.capacity_study.service_profile import FUNCTIONS, Measured

GIB = Measured(service_ms=1, wait_ms=0, event_bytes=1000, memory_mb=500)
"""With headroom, an instance of 1 GiB."""


def month(requests=0.0, active=0.0, idle=0.0, instances=0.0):
    """A month; seconds of one instance."""
    nothing = Latencies.of(np.array([]))
    return Outcome(MONTH_SECONDS, requests, 0, nothing, 0, 1, instances, active, 0, idle)


def test_a_warm_instance_costs_what_google_says():
    """1 vCPU and 1 GiB for a month: $12.96."""
    assert cloud_run(month(idle=MONTH_SECONDS), GIB, Choice())["request"] == pytest.approx(12.96)


def test_a_million_requests_cost_cpu_memory_and_a_fee():
    """0.1 s each, one after the other: 100,000 s of 2 vCPU and 1 GiB, and $0.40."""
    bill = cloud_run(month(requests=1e6, active=1e5), GIB, Choice(vcpu=2))["request"]

    assert bill == pytest.approx(1e5 * (2 * 2.4e-5 + 2.5e-6) + 0.4)


def test_instances_are_billed_for_their_lives_without_a_fee():
    bills = cloud_run(month(requests=1e9, active=1e6, instances=MONTH_SECONDS), GIB, Choice())

    assert bills["instance"] == pytest.approx(MONTH_SECONDS * (1.8e-5 + 2e-6))
    assert cheaper(bills) == "instance"


def test_less_than_a_cpu_is_billed_by_request():
    assert list(cloud_run(month(), GIB, Choice(1, vcpu=0.5))) == ["request"]


def test_messages_are_published_delivered_and_written():
    """A TiB of events in, published and delivered, and of predictions out, published and written."""
    assert messages(2**40 / 1000, GIB) == pytest.approx(40 * 2 + 40 + 50)
    assert messages(1e9, FUNCTIONS["predict"]) == 0


def test_memory_is_a_power_of_two_with_headroom():
    assert [memory_gib(Measured(1, 0, 0, memory_mb=megabytes)) for megabytes in (100, 500, 600)] == [
        0.5,
        1,
        2,
    ]


def test_limits_come_in_the_order_in_which_they_are_met():
    limits = ladder(FUNCTIONS["predict_event"], Choice())

    rates = [limit.rate for limit in limits]
    assert rates == sorted(rates)
    assert "one instance" in limits[0].name
    assert all(limit.label and limit.way and limit.source for limit in limits)


def test_only_events_meet_the_limits_of_pubsub():
    names = " ".join(limit.name for limit in ladder(FUNCTIONS["predict"], Choice()))

    assert "push" not in names
    assert "publish" not in names


def test_places_are_scarce_where_requests_wait_for_others():
    waiting = Measured(service_ms=1, wait_ms=9, event_bytes=0)

    assert "places" in ladder(waiting, Choice(concurrency=1))[0].name
    assert "CPU" in ladder(waiting, Choice())[0].name
