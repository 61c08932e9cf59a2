import pytest
from click.testing import CliRunner

from functions.errors import RidecastError
from jobs.commands.local import command
from jobs.local import run, up
from jobs.local.processes import ServiceFailed
from jobs.local.shutdown import SignalReceived


@pytest.fixture
def stub(monkeypatch):
    """Makes `run` and `up` return or raise a result; returns the list of their arguments."""
    calls = []

    def end_with(result):
        def end(_screen, *arguments):
            calls.append(arguments)
            if isinstance(result, BaseException):
                raise result
            return result

        monkeypatch.setattr(run, "run", end)
        monkeypatch.setattr(up, "up", end)
        return calls

    return end_with


@pytest.mark.parametrize(("success", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_reports_success(stub, success, code):
    stub(success)

    assert CliRunner().invoke(command, ["run"]).exit_code == code


def test_trips_rides_and_rate_may_come_from_the_environment(stub):
    calls = stub(True)

    CliRunner().invoke(
        command, ["run"], env={"TRIPS": "a.parquet gs://b/c.parquet", "RIDES": "7", "RATE": "2.5"}
    )

    assert calls == [(("a.parquet", "gs://b/c.parquet"), 7, 2.5, None, None)]


@pytest.mark.parametrize("option", ["--rides=0", "--rate=0", "--rate=-1"])
def test_rides_and_rate_must_be_positive(stub, option):
    assert not stub(True)

    assert CliRunner().invoke(command, ["run", option]).exit_code == 2


def test_a_failed_service_is_named_and_the_end_of_its_log_shown(stub, tmp_path):
    log = tmp_path / "train.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    stub(ServiceFailed("train", "ended with exit code 1", log))

    result = CliRunner().invoke(command, ["run"])

    assert result.exit_code == 1
    assert f"Failed: train ended with exit code 1. Its log: {log}" in result.output
    assert "line 99" in result.output
    assert "line 59" not in result.output


def test_any_other_expected_error_is_a_sentence(stub):
    stub(RidecastError("no trips left"))

    result = CliRunner().invoke(command, ["run"])

    assert (result.exit_code, result.output) == (1, "Error: no trips left\n")


def test_a_failure_without_a_log_is_a_sentence(stub):
    stub(ServiceFailed("Pub/Sub emulator", "does not answer"))

    result = CliRunner().invoke(command, ["run"])

    assert result.output == "\nFailed: Pub/Sub emulator does not answer\n"


@pytest.mark.parametrize(
    ("name", "number", "code"),
    [("run", 2, 130), ("run", 15, 143), ("up", 2, 0), ("up", 15, 143)],
    ids=["Ctrl-C in run", "SIGTERM in run", "Ctrl-C in up", "SIGTERM in up"],
)
def test_a_signal_sets_the_exit_code_and_ctrl_c_ends_up_normally(stub, name, number, code):
    stub(SignalReceived(number))

    result = CliRunner().invoke(command, [name])

    assert result.exit_code == code
    assert "Stopped by SIG" in result.output
