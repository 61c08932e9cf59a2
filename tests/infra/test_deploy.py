"""Runs infra/deploy with stand-ins for gcloud and terraform that log their calls."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROGRAM = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >> "$LOG"
case "$(basename "$0") $*" in
{cases}
esac
"""
EMPTY = {
    "*'storage buckets describe'*": "exit 1",
    "*'state list'*": "echo 'No state file was found!' >&2; exit 1",
    "*'images describe'*": "exit 1",
    "*'sql users create'*": 'cat "${6#--flags-file=}" > $LOG.flags',
    "*'versions add'*": "cat > $LOG.password",
}
"""Answers of an empty project."""


def deploy(folder: Path, answers: dict[str, str], *args: str) -> tuple[int, list[str], str]:
    """Runs the script; returns its exit code, the commands that it ran, and its output."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    cases = "\n".join(f"  {pattern}) {answer} ;;" for pattern, answer in answers.items())
    for name in ("gcloud", "terraform"):
        (programs / name).write_text(PROGRAM.format(cases=cases))
        (programs / name).chmod(0o755)
    root = folder / "root"
    if not root.exists():
        root.mkdir()
        for name in ("infra", "jobs", "functions"):
            shutil.copytree(name, root / name, ignore=shutil.ignore_patterns("__pycache__", ".terraform*"))
        for path in Path().iterdir():
            if path.is_file():
                shutil.copy(path, root)
        (root / ".venv").symlink_to(Path(sys.prefix))
        (root / ".cache").mkdir()
    log = folder / "log"
    log.unlink(missing_ok=True)
    process = subprocess.run(
        [root / "infra" / "deploy", *args],
        env={"PATH": f"{programs}:{os.environ['PATH']}", "LOG": str(log), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    commands = log.read_text().splitlines() if log.exists() else []
    return process.returncode, commands, process.stdout + process.stderr


def find(commands: list[str], *parts: str) -> list[int]:
    """Indices of the commands that contain all parts."""
    return [index for index, command in enumerate(commands) if all(part in command for part in parts)]


def test_an_empty_project_gets_everything_in_order(tmp_path: Path) -> None:
    code, commands, output = deploy(tmp_path, EMPTY, "my-project", "prod", "europe-west1")
    assert code == 0, output
    (bucket,) = find(commands, "storage buckets create gs://my-project-ridecast-state", "europe-west1")
    (init,) = find(commands, "init", "bucket=my-project-ridecast-state", "prefix=ridecast/prod")
    first, last = find(commands, "apply", "env/prod.tfvars", "project_id=my-project", "region=europe-west1")
    (build,) = find(commands, "builds submit", "_IMAGE=europe-west1-docker.pkg.dev/my-project/ridecast/jobs:")
    (user,) = find(commands, "sql users create mlflow --instance=ridecast-mlflow")
    (secret,) = find(commands, "secrets versions add ridecast-mlflow-database --data-file=-")
    assert bucket < init < first < build < user < secret < last
    assert "jobs_image" not in commands[first]
    image = commands[build].partition("_IMAGE=")[2]
    assert f"jobs_image={image}" in commands[last]
    assert (tmp_path / "root" / "infra" / commands[last].partition("source_archive=")[2].split()[0]).is_file()
    password = (tmp_path / "log.password").read_text()
    assert yaml.safe_load((tmp_path / "log.flags").read_text()) == {"--password": password}
    assert password not in " ".join(commands), "other users could see it in the list of processes"
    assert len(password) == 64
    assert password not in output
    assert not [command for command in commands if "auto-approve" in command], "a person sees the plan"


def test_a_second_run_creates_nothing_twice(tmp_path: Path) -> None:
    existing = {"*'state list'*": "echo google_cloud_run_v2_job.main", "*'versions list'*": "echo 1"}
    code, commands, output = deploy(tmp_path, existing, "my-project")
    assert code == 0, output
    (only,) = find(commands, "apply")
    assert "jobs_image=us-central1-docker.pkg.dev/my-project/ridecast/jobs:" in commands[only]
    assert "env/dev.tfvars" in commands[only]
    for parts in (("buckets create",), ("builds submit",), ("users",), ("versions add",)):
        assert not find(commands, *parts)


def test_a_server_that_exists_needs_no_password(tmp_path: Path) -> None:
    code, commands, output = deploy(tmp_path, EMPTY | {"*'secrets describe'*": "exit 1"}, "my-project")
    assert code == 0, output
    assert not find(commands, "sql users")


@pytest.mark.parametrize(
    "step", ["'buckets create'", "'init'", "'apply'", "'builds submit'", "'set-password'"]
)
def test_a_failing_step_ends_the_script(tmp_path: Path, step: str) -> None:
    failing = {f"*{step}*": "exit 1", "*'users create'*": "exit 1"} | EMPTY
    code, commands, _ = deploy(tmp_path, failing, "my-project")
    assert code
    assert find(commands, step.strip("'"))[-1] == len(commands) - 1


@pytest.mark.parametrize(
    ("args", "message"), [((), "usage: infra/deploy PROJECT"), (("p", "staging"), "use dev or prod")]
)
def test_wrong_arguments_are_reported(tmp_path: Path, args: tuple[str, ...], message: str) -> None:
    code, commands, output = deploy(tmp_path, {}, *args)
    assert code
    assert message in output
    assert not commands
