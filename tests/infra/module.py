"""Runs Terraform on a copy of infra/, and reads back the resources that a test run state."""

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

INFRA = Path("infra")
OFFLINE = Path(__file__).parents[3] / "shared" / "terraform" / "setup"
"""Prints the path of a CLI configuration with an offline provider, for machines without the registry."""

Values = dict[str, Any]


class Resource(NamedTuple):
    """A resource that Terraform manages."""

    type: str
    name: str
    """Its name in the configuration."""
    key: str
    """Key of `for_each`; empty without one."""
    values: Values


class AppliedState(NamedTuple):
    """The state after an apply."""

    resources: list[Resource]
    outputs: dict[str, Any]
    data: list[Resource]
    """What was only read."""

    def of(self, kind: str, name: str = "main") -> dict[str, Values]:
        """All instances of one resource block, by key."""
        return {each.key: each.values for each in self.resources if (each.type, each.name) == (kind, name)}

    def all(self, kind: str) -> list[Resource]:
        return [each for each in self.resources if each.type == kind]


class TerraformRun(NamedTuple):
    """Result of a run of `terraform test`."""

    passed: bool
    messages: str
    state: AppliedState | None


def environment() -> dict[str, str]:
    """Environment for Terraform without the user's settings, with the offline provider if there is one."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "GOOGLE_"))}
    if OFFLINE.exists():
        setup = subprocess.run([OFFLINE], capture_output=True, text=True, check=True)
        clean["TF_CLI_CONFIG_FILE"] = setup.stdout.strip()
    return clean


def terraform(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Runs Terraform in a folder, without checking the exit code."""
    return subprocess.run(
        ["terraform", f"-chdir={folder}", *args],
        capture_output=True,
        text=True,
        check=False,
        env=_ENVIRONMENT,
        timeout=120,
    )


_ENVIRONMENT = environment()


def copy_to(folder: Path, initialised: Path | None = None) -> Path:
    """Copies infra/ without its lock file, which may name another provider version than `init` finds here.

    Args:
        initialised: another copy, whose installed providers are reused.
    """
    shutil.copytree(INFRA, folder, ignore=shutil.ignore_patterns(".terraform*"))
    zipfile.ZipFile(folder / "tests" / "source.zip", "w").close()
    if initialised:
        shutil.copytree(initialised / ".terraform", folder / ".terraform", symlinks=True)
        shutil.copy(initialised / ".terraform.lock.hcl", folder)
    return folder


def run_tests(folder: Path, file: str) -> TerraformRun:
    """Runs one file of `terraform test`."""
    process = terraform(folder, "test", "-json", "-verbose", f"-filter=tests/{file}.tftest.hcl")
    lines = [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]
    state = next((_read_state(line["test_state"]) for line in lines if line["type"] == "test_state"), None)
    diagnostics = [line["diagnostic"] for line in lines if line["type"] == "diagnostic"]
    text = "\n".join(f"{each['summary']}: {each.get('detail', '')}" for each in diagnostics)
    return TerraformRun(process.returncode == 0, text + process.stderr, state)


def _read_state(state: dict[str, Any]) -> AppliedState:
    def read(mode: str) -> list[Resource]:
        return [
            Resource(each["type"], each["name"], str(each.get("index", "")), each["values"])
            for each in state["root_module"]["resources"]
            if each["mode"] == mode
        ]

    outputs = {name: each["value"] for name, each in state.get("outputs", {}).items()}
    return AppliedState(read("managed"), outputs, read("data"))


def strings(value: object) -> Iterator[str]:
    """All strings in a nested value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
