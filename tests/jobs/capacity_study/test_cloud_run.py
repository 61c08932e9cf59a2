import pytest

from jobs.capacity_study.cloud_run import Autoscaler, InvalidServiceConfig, ServiceConfig, pending_seconds
from jobs.capacity_study.scenarios import service_configs
from jobs.capacity_study.service_profile import ServiceProfile, ServiceTimes

TIMES = ServiceTimes(service=0.001, wait=0.009)


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"concurrency": 0}, "1 to 1000"),
        ({"concurrency": 1001}, "1 to 1000"),
        ({"concurrency": 2, "vcpu": 0.5}, "set the concurrency to 1"),
        ({"vcpu": 1.5}, "whole numbers"),
        ({"min_instances": 3, "max_instances": 2}, "no more than it"),
        ({"max_instances": 0}, "at least 1"),
    ],
)
def test_settings_that_cloud_run_does_not_accept(settings, advice):
    with pytest.raises(InvalidServiceConfig, match=advice):
        ServiceConfig(**settings)


def test_throughput_is_limited_by_cpus_or_slots():
    assert ServiceConfig(concurrency=1).max_rate(TIMES) == pytest.approx(100)
    assert ServiceConfig(concurrency=80).max_rate(TIMES) == pytest.approx(1000)
    assert ServiceConfig(concurrency=80, vcpu=2).max_rate(TIMES) == pytest.approx(2000)


def test_less_than_a_cpu_is_slower_and_more_is_not_faster():
    profile = ServiceProfile(service_ms=1, wait_ms=9, event_bytes=0)

    assert ServiceTimes.from_profile(profile, 0.5).service == 0.002
    assert ServiceTimes.from_profile(profile, 2) == TIMES


def test_the_autoscaler_aims_for_sixty_percent():
    assert ServiceConfig(concurrency=80).instances_for(1200, TIMES) == 2
    assert ServiceConfig(concurrency=80).instances_for(1300, TIMES) == 3
    assert ServiceConfig(concurrency=1).instances_for(60, TIMES) == 1
    assert ServiceConfig(min_instances=2).instances_for(0, TIMES) == 2
    assert ServiceConfig(max_instances=5).instances_for(1e6, TIMES) == 5


def test_the_autoscaler_averages_over_a_minute():
    autoscaler = Autoscaler(ServiceConfig(), TIMES, initial_rate=0)
    desired = [autoscaler.decide(cpu=1.2, requests=12) for _ in range(13)]

    assert desired[0] == 1
    assert desired[5] == 1  # half of the minute: 0.6 of a CPU
    assert desired[6:] == [2] * 7


def test_requests_wait_for_ten_seconds_or_for_slow_starts():
    fast, slow = (ServiceProfile(1, 0, 0, start_s=start) for start in (1, 20))

    assert pending_seconds(fast) == 10
    assert pending_seconds(slow) == 70


def test_invalid_combinations_are_left_out():
    valid = service_configs((1, 80), (0, 1), 100, (0.5, 1.0))

    assert {(each.vcpu, each.concurrency) for each in valid} == {(0.5, 1), (1.0, 1), (1.0, 80)}
    assert len(valid) == 6


def test_only_invalid_combinations_are_an_error():
    with pytest.raises(InvalidServiceConfig, match="one request at a time"):
        service_configs((80,), (0,), 100, (0.5,))
