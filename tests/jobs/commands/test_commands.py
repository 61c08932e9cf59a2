import ast
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


def start(*arguments: str, path: str = "") -> str:
    """Runs Python in the checkout without the installed packages; returns the only line, of an error."""
    process = subprocess.run(
        [sys.executable, "-S", *arguments],
        cwd=PROJECT_ROOT,
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = process.stderr.splitlines()
    assert (process.returncode, process.stdout) == (1, "")
    return line


@pytest.mark.parametrize("package", ["click", "rich", "msgspec"])
def test_without_a_package_it_names_the_command_to_run(package: str, tmp_path: Path) -> None:
    """All packages are there but one."""
    for installed in Path(click.__file__).parents[1].iterdir():
        if installed.name != package:
            (tmp_path / installed.name).symlink_to(installed)
    line = start("-m", "jobs", "train", "--trips", "my month.parquet", path=str(tmp_path))
    assert f"does not have Ridecast's packages (No module named '{package}')" in line
    assert line.endswith("then `.venv/bin/python -m jobs train --trips 'my month.parquet'`")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("sys.platform = 'win32'", "On Windows, use WSL: run `wsl --install`"),
        ("sys.version_info = (3, 10, 12)", "Ridecast needs Python 3.11 or newer; "),
        ("sys.modules['fcntl'] = None; sys.path.extend(PACKAGES)", "without Python's module fcntl: install"),
    ],
    ids=["Windows", "an old Python", "a Python without a module of its own"],
)
def test_where_it_cannot_run_it_says_so(change: str, sentence: str) -> None:
    program = (
        f"import sys, runpy; PACKAGES = {sys.path!r}; {change}; "
        "sys.argv = ['jobs', 'download', '2021-01', '--generated']; "
        "runpy.run_module('jobs', run_name='__main__')"
    )
    assert sentence in start("-c", program)


def test_what_an_old_python_runs_has_no_newer_syntax() -> None:
    for module in ("__init__", "__main__", "ui/__init__", "ui/startup"):
        source = PROJECT_ROOT / "jobs" / f"{module}.py"
        if source.exists():
            ast.parse(source.read_text(), feature_version=(3, 8))


def test_the_folder_is_not_a_program() -> None:
    assert start("jobs") == "jobs is a package: run `python -m jobs` in the folder that contains it"


def test_an_option_is_blamed_with_exit_code_2() -> None:
    @click.command(cls=JobCommand)
    def command() -> None:
        with blame_option("--output"):
            raise RidecastError("give a folder")

    result = CliRunner().invoke(command)
    assert result.exit_code == 2
    assert "Invalid value for --output: give a folder" in result.output
