import pytest

from jobs.capacity_study.cloud_run import Autoscaler, Choice, ImpossibleChoice, pending_seconds
from jobs.capacity_study.scenarios import choices
from jobs.capacity_study.service_profile import Measured, Work

WORK = Work(service=0.001, wait=0.009)


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
def test_what_cloud_run_does_not_take(settings, advice):
    with pytest.raises(ImpossibleChoice, match=advice):
        Choice(**settings)


def test_an_instance_does_as_much_as_its_cpus_or_its_places_allow():
    assert Choice(concurrency=1).rate(WORK) == pytest.approx(100)
    assert Choice(concurrency=80).rate(WORK) == pytest.approx(1000)
    assert Choice(concurrency=80, vcpu=2).rate(WORK) == pytest.approx(2000)


def test_less_than_a_cpu_is_slower_and_more_is_not_faster():
    measured = Measured(service_ms=1, wait_ms=9, event_bytes=0)

    assert Work.of(measured, 0.5).service == 0.002
    assert Work.of(measured, 2) == WORK


def test_instances_are_wanted_to_be_busy_for_sixty_percent():
    assert Choice(concurrency=80).instances_for(1200, WORK) == 2
    assert Choice(concurrency=80).instances_for(1300, WORK) == 3
    assert Choice(concurrency=1).instances_for(60, WORK) == 1
    assert Choice(min_instances=2).instances_for(0, WORK) == 2
    assert Choice(max_instances=5).instances_for(1e6, WORK) == 5


def test_the_autoscaler_averages_over_a_minute():
    autoscaler = Autoscaler(Choice(), WORK, rate_before=0)
    wanted = [autoscaler.decide(cpu=1.2, places=12) for _ in range(13)]

    assert wanted[0] == 1
    assert wanted[5] == 1  # half of the minute: 0.6 of a CPU
    assert wanted[6:] == [2] * 7


def test_requests_wait_for_ten_seconds_or_for_slow_starts():
    quick, slow = (Measured(1, 0, 0, start_s=start) for start in (1, 20))

    assert pending_seconds(quick) == 10
    assert pending_seconds(slow) == 70


def test_choices_leave_out_what_is_impossible():
    possible = choices((1, 80), (0, 1), 100, (0.5, 1.0))

    assert {(each.vcpu, each.concurrency) for each in possible} == {(0.5, 1), (1.0, 1), (1.0, 80)}
    assert len(possible) == 6


def test_choices_that_are_all_impossible_are_an_error():
    with pytest.raises(ImpossibleChoice, match="one request at a time"):
        choices((80,), (0,), 100, (0.5,))
