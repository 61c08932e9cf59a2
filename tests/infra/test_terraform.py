"""Terraform's own checks: form, types, and the tests that stand beside the configuration."""

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.infra.module import INFRA, Tried, terraform, try_tests


def test_the_form_is_terraform_s(initialised: Path) -> None:
    done = terraform(INFRA.absolute(), "fmt", "-check", "-recursive", "-diff")
    assert done.returncode == 0, done.stdout


def test_it_is_valid(initialised: Path) -> None:
    done = terraform(initialised, "validate", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_at_once_is_as_asserted(everything: Tried) -> None:
    assert everything.passed, everything.said


def test_what_variables_leave_out(initialised: Path) -> None:
    tried = try_tests(initialised, "variants")
    assert tried.passed, tried.said


def test_what_variables_refuse(refusals: Tried) -> None:
    assert refusals.passed, refusals.said


def test_each_rule_for_a_variable_is_tried() -> None:
    blocks = re.split(r'^variable "(\w+)"', (INFRA / "variables.tf").read_text(), flags=re.MULTILINE)[1:]
    rules = {name: block.count("validation {") for name, block in zip(blocks[::2], blocks[1::2], strict=True)}
    tests = (INFRA / "tests" / "variables.tftest.hcl").read_text()
    assert Counter(re.findall(r"expect_failures = \[var\.(\w+)\]", tests)) == +Counter(rules)


def test_what_runs_as_an_account_waits_for_who_may_say_so() -> None:
    text = "\n".join(path.read_text() for path in INFRA.glob("*.tf"))
    for kind, name in (
        ("cloudfunctions2_function", "main"),
        ("cloud_run_v2_job", "main"),
        ("cloud_run_v2_service", "mlflow"),
        ("cloud_scheduler_job", "main"),
        ("pubsub_subscription", "push"),
        ("cloudbuild_trigger", "main"),
    ):
        block = text.partition(f'resource "google_{kind}" "{name}" {{')[2].partition("\n}\n")[0]
        assert "google_service_account_iam_member.deployer" in block.partition("depends_on")[2], kind


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_an_environment_is_its_variables_alone(initialised: Path, tmp_path: Path, environment: str) -> None:
    copy = tmp_path / "infra"
    shutil.copytree(initialised, copy, symlinks=True)
    for file in (copy / "tests").glob("*.hcl"):
        file.unlink()
    (copy / "tests" / "environment.tftest.hcl").write_text(
        'mock_provider "google" {}\n'
        'variables {\n  project_id = "ridecast-test"\n  source_archive = "tests/source.zip"\n}\n'
        'run "plan" {\n  command = plan\n}\n'
    )
    done = terraform(copy, "test", "-no-color", f"-var-file=env/{environment}.tfvars")
    assert done.returncode == 0, done.stdout + done.stderr
