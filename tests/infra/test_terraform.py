"""Terraform's own checks: formatting, validation, and the tests in infra/tests/."""

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.infra.module import INFRA, TerraformRun, run_tests, terraform


def test_the_formatting_is_terraform_s(initialised: Path) -> None:
    process = terraform(INFRA.absolute(), "fmt", "-check", "-recursive", "-diff")
    assert process.returncode == 0, process.stdout


def test_the_configuration_is_valid(initialised: Path) -> None:
    process = terraform(initialised, "validate", "-no-color")
    assert process.returncode == 0, process.stdout + process.stderr


def test_everything_enabled_meets_the_asserts(everything: TerraformRun) -> None:
    assert everything.passed, everything.messages


def test_optional_parts_can_be_left_out(initialised: Path) -> None:
    run = run_tests(initialised, "variants")
    assert run.passed, run.messages


def test_invalid_variables_are_refused(variable_tests: TerraformRun) -> None:
    assert variable_tests.passed, variable_tests.messages


def test_each_validation_rule_is_tested() -> None:
    blocks = re.split(r'^variable "(\w+)"', (INFRA / "variables.tf").read_text(), flags=re.MULTILINE)[1:]
    rules = {name: block.count("validation {") for name, block in zip(blocks[::2], blocks[1::2], strict=True)}
    tests = (INFRA / "tests" / "variables.tftest.hcl").read_text()
    assert Counter(re.findall(r"expect_failures = \[var\.(\w+)\]", tests)) == +Counter(rules)


def test_resources_with_an_account_depend_on_the_deployer_s_grant() -> None:
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
def test_an_environment_is_only_variables(initialised: Path, tmp_path: Path, environment: str) -> None:
    copy = tmp_path / "infra"
    shutil.copytree(initialised, copy, symlinks=True)
    for file in (copy / "tests").glob("*.hcl"):
        file.unlink()
    (copy / "tests" / "environment.tftest.hcl").write_text(
        'mock_provider "google" {}\n'
        'variables {\n  project_id = "ridecast-test"\n  source_archive = "tests/source.zip"\n'
        '  alert_emails = ["duty@example.com"]\n}\n'
        'run "plan" {\n  command = plan\n}\n'
    )
    process = terraform(copy, "test", "-no-color", f"-var-file=env/{environment}.tfvars")
    assert process.returncode == 0, process.stdout + process.stderr
