import io
import re

import pytest
from rich.console import Console

from jobs.local.screen import Screen
from jobs.local.shutdown import SignalReceived


def screen_on(*, terminal):
    file = io.StringIO()
    return Screen(Console(file=file, force_terminal=terminal, highlight=False)), file


def test_without_a_terminal_there_are_only_plain_lines():
    screen, file = screen_on(terminal=False)

    with screen.live(), screen.step("train") as step:
        step.detail = "[bold] is not markup here"
    screen.print("[1/2] likewise")

    first, second = file.getvalue().splitlines()
    assert re.fullmatch(r"✓ train +\[bold\] is not markup here \(0\.0 s\)", first)
    assert second == "[1/2] likewise"


def test_a_step_that_fails_is_marked():
    screen, file = screen_on(terminal=False)

    with pytest.raises(RuntimeError), screen.step("promote"):
        raise RuntimeError

    assert file.getvalue().startswith("✗ promote")


def test_a_signal_is_not_the_fault_of_a_step():
    screen, file = screen_on(terminal=False)

    with pytest.raises(SignalReceived), screen.step("promote"):
        raise SignalReceived(2)

    assert file.getvalue() == ""


def test_steps_that_fail_because_everything_ends_are_not_shown():
    screen, file = screen_on(terminal=False)

    def fail():
        screen.abandon_steps()
        raise RuntimeError

    with pytest.raises(RuntimeError), screen.step("MLflow server"):
        fail()
    with screen.step("next"):
        pass

    assert file.getvalue().startswith("✓ next")


def test_a_degraded_step_is_marked():
    screen, file = screen_on(terminal=False)

    with screen.step("Pub/Sub emulator") as step:
        step.degraded = True

    assert file.getvalue().startswith("! Pub/Sub emulator")


def test_on_a_terminal_running_steps_and_the_view_are_updated():
    screen, file = screen_on(terminal=True)

    with screen.live(), screen.step("replay") as step:
        screen.view = "half of it"
        step.detail = "all of it"
    screen.print("next")

    shown = file.getvalue()
    assert "half of it" in shown
    assert shown.rindex("all of it") < shown.index("next")


def test_the_picture_has_what_was_shown_but_not_what_was_printed(tmp_path):
    screen, _ = screen_on(terminal=False)
    with screen.step("train") as step:
        step.detail = "a-month"
    screen.print("only-printed")
    screen.show("the-summary", "in-plain-text")

    screen.save_picture(tmp_path / "docs" / "run.svg")

    picture = (tmp_path / "docs" / "run.svg").read_text()
    assert "<svg" in picture
    assert "a-month" in picture
    assert "the-summary" in picture
    assert "only-printed" not in picture
