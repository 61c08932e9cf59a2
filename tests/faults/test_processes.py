"""Rows 1 to 6 and 29: the function's own processes die, stop, or start under load."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.faults.stage import Stage, envelope, good_events

Row = Callable[..., None]


def test_row_1_no_fault(stage: Stage, row: Row) -> None:
    stage.start()
    stage.push()
    stage.publish(good_events(150))
    row(1, "none", stage)


@pytest.mark.long
def test_row_2_workers_are_killed(stage: Stage, row: Row) -> None:
    stage.start()
    stage.push()
    with stage.stream(good_events(200)):
        for _ in range(3):
            with stage.fault():
                (worker,) = stage.workers()
                os.kill(worker, signal.SIGKILL)
            time.sleep(0.7)
    row(2, "a worker is killed, three times", stage)


@pytest.mark.long
def test_row_3_everything_is_killed_and_started_again(stage: Stage, row: Row) -> None:
    stage.start()
    stage.push()
    with stage.stream(good_events(200)):
        with stage.fault():
            stage.function.signal(signal.SIGKILL)
            time.sleep(2)
        stage.start(ready=False)
    row(3, "all processes are killed, started again after 2 s", stage)


def test_row_4_death_between_the_publishing_and_the_answer(stage: Stage, row: Row, full: bool) -> None:
    stage.start()
    stage.push()
    deaths = 3 if full else 1
    with stage.stream(good_events(120, first=1000), rate=30):
        for _ in range(deaths):
            stage.front.on_answer = lambda: stage.function.signal(signal.SIGKILL)
            while stage.function.running:
                time.sleep(0.01)
            with stage.fault():
                pass
            stage.start(ready=False)
    row(4, f"death after publishing, before the answer, {deaths} times", stage)
    assert stage.verdict().duplicates >= deaths


@pytest.mark.long
def test_row_5_told_to_end_under_load(stage: Stage, row: Row) -> None:
    stage.start()
    stage.push()
    stage.back.delay_seconds = 0.2  # so that there is always an event in hand
    with stage.stream(good_events(50), rate=20):
        for _ in range(2):
            old = stage.function
            stage.start()  # as Cloud Run does: the next one serves before the old one is told to end
            told = time.monotonic()
            with stage.fault():
                os.kill(old.pid, signal.SIGTERM)
                while old.running:
                    time.sleep(0.01)
            assert time.monotonic() - told < 8, "it must end before it is killed"
    row(5, "SIGTERM with events in hand, twice", stage)
    assert not stage.verdict().duplicates, "what it had in hand it finished"


@pytest.mark.long
def test_row_6_slower_than_the_acknowledgement_deadline(stage: Stage, row: Row) -> None:
    stage.start()
    stage.push(ack_seconds=10)
    with stage.stream(good_events(120)), stage.fault():
        stage.function.signal(signal.SIGSTOP)
        time.sleep(12)
        stage.function.signal(signal.SIGCONT)
    row(6, "the function stands still for 12 s; the deadline is 10 s", stage)


@pytest.mark.long
def test_row_29_two_workers_and_a_burst_as_the_first_requests(stage: Stage, row: Row) -> None:
    stage.start(ready=False, WORKERS="2", THREADS="8")
    events = good_events(200)
    stage.events += events
    stage.deliver([envelope(event, number) for number, event in enumerate(events)], at_once=64)
    row(29, "two workers, 64 at once as the very first requests", stage)
