"""What a message tells people to type works when it is pasted."""

import subprocess
import sys
from pathlib import Path

import pytest

from jobs.settings import PROJECT_ROOT
from jobs.ui.hints import job_command, python_command, short_path


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment's interpreter, whose packages are those of this one."""
    interpreter = tmp_path / "my project" / ".venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to(sys.executable)
    return interpreter


@pytest.fixture
def run_by(monkeypatch: pytest.MonkeyPatch, environment: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(environment))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


@pytest.mark.usefixtures("run_by")
def test_in_the_checkout_it_is_the_interpreter_of_its_environment(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(environment.parents[2])

    assert job_command("train --trips a") == ".venv/bin/python -m jobs train --trips a"
    assert job_command() == ".venv/bin/python -m jobs"


@pytest.mark.usefixtures("run_by")
def test_in_an_activated_shell_it_is_python(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{environment.parent}:/usr/bin:/bin")

    assert job_command("train") == "python -m jobs train"


@pytest.mark.usefixtures("run_by")
def test_elsewhere_it_is_a_path_that_a_shell_takes(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")

    assert python_command() == f"'{str(environment)[1:]}'"
    shell = f"{python_command()} -c 'print(42)'"
    assert subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout == "42\n"


def test_a_path_is_relative_if_that_is_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT_ROOT / "jobs")

    assert short_path(PROJECT_ROOT / "jobs" / "local") == "local"
    assert short_path("/tmp") == "/tmp"
    assert short_path("gs://bucket/month.parquet") == "gs://bucket/month.parquet"


def test_messages_name_this_interpreter() -> None:
    program = (
        "from jobs.__main__ import main; from jobs.ui.hints import job_command; main(prog_name=job_command())"
    )
    process = subprocess.run(
        [sys.executable, "-c", program, "nonsense"],
        cwd=PROJECT_ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"Try '{short_path(sys.executable)} -m jobs --help' for help." in process.stderr
