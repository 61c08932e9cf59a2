"""infra/deploy as it is typed, with programs in place of gcloud and terraform that note what is asked."""

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
"""A project in which there is nothing."""


def deploy(folder: Path, answers: dict[str, str], *words: str) -> tuple[int, list[str], str]:
    """Its exit code, the commands that it gave, and what it said."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    cases = "\n".join(f"  {pattern}) {answer} ;;" for pattern, answer in answers.items())
    for name in ("gcloud", "terraform"):
        (programs / name).write_text(PROGRAM.format(cases=cases))
        (programs / name).chmod(0o755)
    house = folder / "house"
    if not house.exists():
        house.mkdir()
        for name in ("infra", "jobs", "functions"):
            shutil.copytree(name, house / name, ignore=shutil.ignore_patterns("__pycache__", ".terraform*"))
        for path in Path().iterdir():
            if path.is_file():
                shutil.copy(path, house)
        (house / ".venv").symlink_to(Path(sys.prefix))
        (house / ".cache").mkdir()
    log = folder / "log"
    log.unlink(missing_ok=True)
    done = subprocess.run(
        [house / "infra" / "deploy", *words],
        env={"PATH": f"{programs}:{os.environ['PATH']}", "LOG": str(log), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    given = log.read_text().splitlines() if log.exists() else []
    return done.returncode, given, done.stdout + done.stderr


def having(given: list[str], *parts: str) -> list[int]:
    """Where in what was given are commands with all parts."""
    return [place for place, command in enumerate(given) if all(part in command for part in parts)]


def test_an_empty_project_gets_everything_in_order(tmp_path: Path) -> None:
    code, given, said = deploy(tmp_path, EMPTY, "my-project", "prod", "europe-west1")
    assert code == 0, said
    (bucket,) = having(given, "storage buckets create gs://my-project-ridecast-state", "europe-west1")
    (init,) = having(given, "init", "bucket=my-project-ridecast-state", "prefix=ridecast/prod")
    first, last = having(given, "apply", "env/prod.tfvars", "project_id=my-project", "region=europe-west1")
    (build,) = having(given, "builds submit", "_IMAGE=europe-west1-docker.pkg.dev/my-project/ridecast/jobs:")
    (user,) = having(given, "sql users create mlflow --instance=ridecast-mlflow")
    (secret,) = having(given, "secrets versions add ridecast-mlflow-database --data-file=-")
    assert bucket < init < first < build < user < secret < last
    assert "jobs_image" not in given[first]
    image = given[build].partition("_IMAGE=")[2]
    assert f"jobs_image={image}" in given[last]
    assert (tmp_path / "house" / "infra" / given[last].partition("source_archive=")[2].split()[0]).is_file()
    password = (tmp_path / "log.password").read_text()
    assert yaml.safe_load((tmp_path / "log.flags").read_text()) == {"--password": password}
    assert password not in " ".join(given), "who lists the processes would see it"
    assert len(password) == 64
    assert password not in said
    assert not [command for command in given if "auto-approve" in command], "a person sees the plan"


def test_again_it_takes_nothing_away_and_makes_nothing_twice(tmp_path: Path) -> None:
    there = {"*'state list'*": "echo google_cloud_run_v2_job.main", "*'versions list'*": "echo 1"}
    code, given, said = deploy(tmp_path, there, "my-project")
    assert code == 0, said
    (only,) = having(given, "apply")
    assert "jobs_image=us-central1-docker.pkg.dev/my-project/ridecast/jobs:" in given[only]
    assert "env/dev.tfvars" in given[only]
    for parts in (("buckets create",), ("builds submit",), ("users",), ("versions add",)):
        assert not having(given, *parts)


def test_a_server_that_exists_needs_no_password(tmp_path: Path) -> None:
    code, given, said = deploy(tmp_path, EMPTY | {"*'secrets describe'*": "exit 1"}, "my-project")
    assert code == 0, said
    assert not having(given, "sql users")


@pytest.mark.parametrize(
    "step", ["'buckets create'", "'init'", "'apply'", "'builds submit'", "'set-password'"]
)
def test_what_fails_ends_it(tmp_path: Path, step: str) -> None:
    failing = {f"*{step}*": "exit 1", "*'users create'*": "exit 1"} | EMPTY
    code, given, _ = deploy(tmp_path, failing, "my-project")
    assert code
    assert having(given, step.strip("'"))[-1] == len(given) - 1


@pytest.mark.parametrize(
    ("words", "sentence"), [((), "usage: infra/deploy PROJECT"), (("p", "staging"), "dev or prod?")]
)
def test_what_is_missing_is_said(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    code, given, said = deploy(tmp_path, {}, *words)
    assert code
    assert sentence in said
    assert not given
