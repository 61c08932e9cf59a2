import pytest
from click.testing import CliRunner

from jobs.commands.local import command
from jobs.local import run, up
from jobs.local.processes import PartFailed
from jobs.local.shutdown import Stopped


@pytest.fixture
def outcome(monkeypatch):
    """Lets `run` and `up` end as told, and notes what they were asked for."""
    asked = []

    def end_with(result):
        def work(_screen, *words):
            asked.append(words)
            if isinstance(result, BaseException):
                raise result
            return result

        monkeypatch.setattr(run, "run", work)
        monkeypatch.setattr(up, "up", work)
        return asked

    return end_with


@pytest.mark.parametrize(("good", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_all_was_good(outcome, good, code):
    outcome(good)

    assert CliRunner().invoke(command, ["run"]).exit_code == code


def test_trips_rides_and_rate_may_come_from_the_environment(outcome):
    asked = outcome(True)

    CliRunner().invoke(
        command, ["run"], env={"TRIPS": "a.parquet gs://b/c.parquet", "RIDES": "7", "RATE": "2.5"}
    )

    assert asked == [(("a.parquet", "gs://b/c.parquet"), 7, 2.5, None)]


@pytest.mark.parametrize("option", ["--rides=0", "--rate=0", "--rate=-1"])
def test_nothing_cannot_be_replayed(outcome, option):
    assert not outcome(True)

    assert CliRunner().invoke(command, ["run", option]).exit_code == 2


def test_a_failure_names_the_part_and_shows_the_end_of_its_log(outcome, tmp_path):
    log = tmp_path / "train.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    outcome(PartFailed("train", "ended with exit code 1", log))

    result = CliRunner().invoke(command, ["run"])

    assert result.exit_code == 1
    assert f"Failed: train ended with exit code 1. Its log: {log}" in result.output
    assert "line 99" in result.output
    assert "line 59" not in result.output


def test_a_failure_without_a_log_is_a_sentence(outcome):
    outcome(PartFailed("Pub/Sub emulator", "does not answer"))

    result = CliRunner().invoke(command, ["run"])

    assert result.output == "\nFailed: Pub/Sub emulator does not answer\n"


@pytest.mark.parametrize(
    ("words", "number", "code"),
    [("run", 2, 130), ("run", 15, 143), ("up", 2, 0), ("up", 15, 143)],
    ids=["Ctrl-C in run", "SIGTERM in run", "Ctrl-C in up", "SIGTERM in up"],
)
def test_a_signal_is_told_by_the_exit_code_but_ctrl_c_is_how_up_ends(outcome, words, number, code):
    outcome(Stopped(number))

    result = CliRunner().invoke(command, [words])

    assert result.exit_code == code
    assert "Stopped by SIG" in result.output
