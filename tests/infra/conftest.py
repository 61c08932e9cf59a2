"""Terraform's own tests run once; what they made is judged by many."""

import shutil
from pathlib import Path

import pytest

from tests.infra.module import Made, Tried, copy_to, terraform, try_tests


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of infra/ in which Terraform has its provider."""
    if not shutil.which("terraform"):
        pytest.skip("needs terraform on the PATH: https://developer.hashicorp.com/terraform/install")
    folder = copy_to(tmp_path_factory.mktemp("terraform") / "infra")
    done = terraform(folder, "init", "-backend=false", "-input=false", "-no-color")
    if done.returncode and "registry" in done.stderr:
        pytest.skip(f"needs Terraform's registry, or the provider in ../shared: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def refusals(initialised: Path, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """What the variables say, without all that would be planned of them."""
    folder = copy_to(tmp_path_factory.mktemp("variables") / "infra", initialised)
    for file in folder.glob("*.tf"):
        if file.stem not in ("versions", "variables"):
            file.unlink()
    return try_tests(folder, "variables")


@pytest.fixture(scope="session")
def everything(initialised: Path) -> Tried:
    return try_tests(initialised, "everything")


@pytest.fixture(scope="session")
def made(everything: Tried) -> Made:
    assert everything.made, everything.said
    return everything.made
