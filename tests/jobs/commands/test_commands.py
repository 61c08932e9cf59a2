import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import functions
from functions.errors import RidecastError
from jobs.__main__ import COMMANDS, main
from jobs.commands.error_boundary import JobCommand, blame_option
from jobs.settings import PROJECT_ROOT


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_has_the_first_sentence_of_each_commands_help(name: str) -> None:
    assert importlib.import_module(f"jobs.commands.{name}").command.get_short_help_str(100) == COMMANDS[name]


def test_help_imports_no_command() -> None:
    program = (
        'import sys; from jobs.__main__ import main\ntry: main(["--help"])\nfinally: print(*sys.modules)'
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert all(name in process.stdout for name in COMMANDS)
    heavy = ("google.api_core", "mlflow", "pandas", "jobs.re")
    assert not [name for name in process.stdout.split() if name.startswith(heavy)]


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"ridecast {functions.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["score", "--help"]])
def test_without_its_packages_it_names_the_command_to_run(arguments: list[str], tmp_path: Path) -> None:
    """`-S` hides the installed packages; in the second run click alone is there."""
    if arguments:
        (tmp_path / "click").symlink_to(Path(click.__file__).parent)
    process = subprocess.run(
        [sys.executable, "-S", "-m", "jobs", *arguments],
        cwd=PROJECT_ROOT,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = process.stderr.splitlines()
    assert (process.returncode, process.stdout) == (1, "")
    assert line.endswith("is not installed: run `make install`, then `.venv/bin/python -m jobs`.")


def test_an_option_is_blamed_with_exit_code_2() -> None:
    @click.command(cls=JobCommand)
    def command() -> None:
        with blame_option("--output"):
            raise RidecastError("give a folder")

    result = CliRunner().invoke(command)
    assert result.exit_code == 2
    assert "Invalid value for --output: give a folder" in result.output
