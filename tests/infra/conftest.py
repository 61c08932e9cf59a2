"""Fixtures that run Terraform's own tests once and share the applied state."""

import shutil
from pathlib import Path

import pytest

from tests.infra.module import AppliedState, TerraformRun, copy_to, run_tests, terraform


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of infra/ after `terraform init`."""
    if not shutil.which("terraform"):
        pytest.skip("needs terraform on the PATH: https://developer.hashicorp.com/terraform/install")
    folder = copy_to(tmp_path_factory.mktemp("terraform") / "infra")
    process = terraform(folder, "init", "-backend=false", "-input=false", "-no-color")
    if process.returncode and "registry" in process.stderr:
        pytest.skip(f"needs Terraform's registry, or the provider in ../shared: {process.stderr}")
    assert process.returncode == 0, process.stderr
    return folder


@pytest.fixture(scope="session")
def variable_tests(initialised: Path, tmp_path_factory: pytest.TempPathFactory) -> TerraformRun:
    """Runs the tests of the variables without the resources."""
    folder = copy_to(tmp_path_factory.mktemp("variables") / "infra", initialised)
    for file in folder.glob("*.tf"):
        if file.stem not in ("versions", "variables"):
            file.unlink()
    return run_tests(folder, "variables")


@pytest.fixture(scope="session")
def everything(initialised: Path) -> TerraformRun:
    return run_tests(initialised, "everything")


@pytest.fixture(scope="session")
def state(everything: TerraformRun) -> AppliedState:
    assert everything.state, everything.messages
    return everything.state
