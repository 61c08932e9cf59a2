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
APPLY = """n=$(($(cat $LOG.applies 2> /dev/null || echo 0) + 1)); echo $n > $LOG.applies
    error=$(sed -n ${{n}}p <<< '{errors}'); [ -z "$error" ] || {{ echo "$error" >&2; exit 1; }}"""
"""An apply that fails with the first error, then with the second, and so on until none is left."""
TOO_EARLY = [
    "Error: googleapi: Error 400: Service account service-1@gcp-sa-pubsub.iam.gserviceaccount does not exist",
    "Error: googleapi: Error 403: Cloud Run Admin API has not been used in project 1 before",
    "Error: googleapi: Error 403: Permission iam.serviceaccounts.actAs denied on service account a@b",
    "Error: Error waiting for Creating function: Build failed: Access to bucket gcf-v2-sources-1 denied",
]
EMPTY = {
    "*'objects describe'*": "exit 1",
    "*'storage buckets describe'*": "exit 1",
    "*'state list'*": "echo 'No state file was found!' >&2; exit 1",
    "*'images describe'*": "exit 1",
    "*'output -raw mlflow_database'*": "echo mlflow-1",
    "*'sql users create'*": 'cat "${6#--flags-file=}" > $LOG.flags',
    "*'versions add'*": "cat > $LOG.password",
}
"""Answers of an empty project."""


def deploy(folder: Path, answers: dict[str, str], *args: str) -> tuple[int, list[str], str]:
    """Runs the script; returns its exit code, the commands that it ran, and its output."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    cases = "\n".join(f"  {pattern}) {answer} ;;" for pattern, answer in answers.items())
    for name in ("gcloud", "terraform", "sleep"):
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
    (user,) = find(commands, "sql users create mlflow --instance=mlflow-1")
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
    (identity,) = find(commands, "services identity create --service=pubsub.googleapis.com")
    assert identity < first
    assert "There is no model yet" in output


@pytest.mark.parametrize("errors", [TOO_EARLY[:2], TOO_EARLY[2:]], ids=["accounts and APIs", "grants"])
def test_an_apply_that_was_too_early_is_repeated(tmp_path: Path, errors: list[str]) -> None:
    answers = {"*' apply '*": APPLY.format(errors="\n".join(errors))} | EMPTY
    code, commands, output = deploy(tmp_path, answers, "my-project")
    assert code == 0, output
    for error in errors:
        assert f"because Google may not have everything yet: {error}" in output
    assert len(find(commands, " apply ")) == 4, "three times without the jobs, then with them"
    assert len(find(commands, "sleep 60")) == 2
    assert len(find(commands, " apply ", "-auto-approve")) == 2, "a person has approved the first"


@pytest.mark.parametrize(
    ("errors", "applies"),
    [
        (TOO_EARLY[:3], 3),
        (["Error: Invalid value for variable"], 1),
        (["Apply cancelled."], 1),
    ],
    ids=["too long", "another reason", "not approved"],
)
def test_an_apply_is_not_repeated_for_ever_or_for_other_reasons(
    tmp_path: Path, errors: list[str], applies: int
) -> None:
    answers = {"*' apply '*": APPLY.format(errors="\n".join(errors))} | EMPTY
    code, commands, output = deploy(tmp_path, answers, "my-project")
    assert code
    assert errors[-1] in output
    assert len(find(commands, " apply ")) == applies
    assert not find(commands, "builds submit")


def test_at_the_end_the_newest_revisions_serve_a_real_ride(tmp_path: Path) -> None:
    names = "printf 'ride-duration-predict\\nride-duration-predict-event\\n'"
    answers = {
        "*'state list'*": "echo google_cloud_run_v2_job.main",
        "*'versions list'*": "echo 1",
        "*'run services list'*": names,
        "*print-identity-token*": "echo the-token",
        "*'output -raw '*": "echo no-url",
    }
    code, commands, output = deploy(tmp_path, answers, "my-project")
    (applied,) = find(commands, " apply ")
    moved = find(commands, "run services update-traffic ride-duration-predict", "--to-latest")
    assert len(moved) == 2
    assert applied < min(moved)
    assert "'no-url' is not an http:// or https:// URL" in output
    assert code == 2, "the deployment fails with its smoke test"
    assert "the-token" not in output + " ".join(commands)


def test_a_second_run_creates_nothing_twice(tmp_path: Path) -> None:
    existing = {
        "*'state list'*": "echo google_cloud_run_v2_job.main",
        "*'versions list'*": "echo 1",
        "*'objects describe'*": "exit 1",
    }
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
    "step",
    ["'buckets create'", "'identity create'", "'init'", "' apply '", "'builds submit'", "'set-password'"],
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
