"""infra/ as Terraform takes it: a copy that is initialised, tried, and read as what it would make."""

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
"""Prints a configuration with a provider that knows the schema alone, where the registry is out of reach."""

Values = dict[str, Any]


class Resource(NamedTuple):
    """One thing that Terraform makes."""

    type: str
    name: str
    """As the configuration calls it."""
    key: str
    """Of `for_each`; empty where there is none."""
    values: Values


class Made(NamedTuple):
    """Everything that one apply makes."""

    resources: list[Resource]
    outputs: dict[str, Any]

    def of(self, kind: str, name: str = "main") -> dict[str, Values]:
        """By key, all of one block."""
        return {each.key: each.values for each in self.resources if (each.type, each.name) == (kind, name)}

    def all(self, kind: str) -> list[Resource]:
        return [each for each in self.resources if each.type == kind]


class Tried(NamedTuple):
    """How a run of Terraform's own tests ended."""

    passed: bool
    said: str
    made: Made | None


def environment() -> dict[str, str]:
    """For terraform, without a person's own settings; with the offline provider where there is one."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "GOOGLE_"))}
    if OFFLINE.exists():
        told = subprocess.run([OFFLINE], capture_output=True, text=True, check=True)
        clean["TF_CLI_CONFIG_FILE"] = told.stdout.strip()
    return clean


def terraform(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs it there, whatever comes of it."""
    return subprocess.run(
        ["terraform", f"-chdir={folder}", *words],
        capture_output=True,
        text=True,
        check=False,
        env=_ENVIRONMENT,
        timeout=120,
    )


_ENVIRONMENT = environment()


def copy_to(folder: Path, initialised: Path | None = None) -> Path:
    """A copy of infra/ without its lock file: the provider that init finds here may not be the one it names.

    Args:
        initialised: another copy, whose providers are taken over.
    """
    shutil.copytree(INFRA, folder, ignore=shutil.ignore_patterns(".terraform*"))
    zipfile.ZipFile(folder / "tests" / "source.zip", "w").close()
    if initialised:
        shutil.copytree(initialised / ".terraform", folder / ".terraform", symlinks=True)
        shutil.copy(initialised / ".terraform.lock.hcl", folder)
    return folder


def try_tests(folder: Path, file: str) -> Tried:
    """Runs one file of `terraform test`."""
    done = terraform(folder, "test", "-json", "-verbose", f"-filter=tests/{file}.tftest.hcl")
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    made = next((_made(line["test_state"]) for line in lines if line["type"] == "test_state"), None)
    said = [line["diagnostic"] for line in lines if line["type"] == "diagnostic"]
    text = "\n".join(f"{each['summary']}: {each.get('detail', '')}" for each in said)
    return Tried(done.returncode == 0, text + done.stderr, made)


def _made(state: dict[str, Any]) -> Made:
    resources = [
        Resource(each["type"], each["name"], str(each.get("index", "")), each["values"])
        for each in state["root_module"]["resources"]
        if each["mode"] == "managed"
    ]
    return Made(resources, {name: each["value"] for name, each in state.get("outputs", {}).items()})


def strings(value: object) -> Iterator[str]:
    """All texts in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
