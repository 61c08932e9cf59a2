"""A document's blocks, run as a person would paste them: from top to bottom into a shell in a fresh clone."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jobs.local.processes import ProcessGroup, ServiceFailed, free_port

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "infra/*.md")
    for path in ROOT.glob(pattern)
)
"""Every page, by its path from the repository's root."""

_CLOUD = "needs a project on Google Cloud"
_DOCKER = "needs Docker, and an image of a gigabyte"
_INSTALL = "installs from the network, which tests do not have"
NOT_RUN: dict[str, dict[str, str]] = {
    "README.md": {
        "make run": "tests/end_to_end/test_run.py runs it",
        "git clone": _INSTALL,
        "make retrain": "tests/end_to_end/test_retrain.py runs it",
    },
    "CONTRIBUTING.md": {"make install": _INSTALL},
    "docs/beam.md": {"export MODEL_URI=gs:": _CLOUD, "docker build": _CLOUD},
    "docs/deploy.md": {"": _CLOUD},
    "docs/docker.md": {"": _DOCKER},
    "docs/installation.md": {"git clone": _INSTALL, "git pull": _INSTALL},
    "docs/monitoring.md": {
        ".venv/bin/python -m jobs collect": _CLOUD,
        "gcloud": _CLOUD,
        ".venv/bin/python -m jobs report --stream 'gs:": _CLOUD,
    },
    "docs/reliability.md": {"make faults": "takes half an hour; a short form of it is in the tests"},
    "docs/runbook.md": {"": _CLOUD},
    "docs/scaling.md": {".venv/bin/python -m jobs capacity": "writes this page"},
    "infra/README.md": {"make deploy": _CLOUD, "make infra": "tests/infra is what it runs"},
}
"""Document → first words of a shell block that no test runs → the reason; what it names is still checked."""

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PORT = re.compile(r"(?:127\.0\.0\.1:|--port[= ])(\d{4,5})\b")


class Block(NamedTuple):
    """What stands between two fences."""

    kind: str
    """`sh`, `json`, `text`, …"""
    text: str


def blocks_of(document: str) -> list[Block]:
    """The blocks of a document, whose path is given from the repository's root."""
    return [Block(*found) for found in _BLOCK.findall((ROOT / document).read_text())]


def skip_reason(document: str, block: Block) -> str:
    """Why no test runs a shell block; empty if one does."""
    reasons = NOT_RUN.get(document, {})
    return next((reason for start, reason in reasons.items() if block.text.startswith(start)), "")


def runnable(document: str) -> list[Block]:
    """The shell blocks of a document that a test runs, in order."""
    blocks = [block for block in blocks_of(document) if block.kind == "sh"]
    return [block for block in blocks if not skip_reason(document, block)]


def ports_of(block: Block) -> set[str]:
    """The ports that a block names."""
    return set(_PORT.findall(block.text))


def script_of(blocks: list[Block], port: int | None = None) -> str:
    """The shell blocks as one script, with a line break after each answer of curl.

    Args:
        port: replaces the ports that the blocks name.  [default: a free one for each]
    """
    shell = [block for block in blocks if block.kind == "sh"]
    text = "\n".join(block.text for block in shell)
    for named in sorted(set().union(*map(ports_of, shell))):
        text = re.sub(rf"\b{named}\b", str(port or free_port()), text)
    return "curl() { command curl --write-out '\\n' \"$@\"; }\n" + text


def checkout(folder: Path) -> Path:
    """Makes a folder a fresh clone that is installed: no data, no models, nothing activated."""
    for name in ("functions", "jobs", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "main.py", folder)
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    (folder / ".cache").mkdir()
    return folder


def paste(programs: ProcessGroup, script: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Runs a script in a folder, in a shell that has nothing activated: its standard output.

    What it left running is ended.

    Raises:
        ServiceFailed: a line of it failed.
    """
    output = folder / ".cache" / "output"
    activated = str(Path(sys.executable).parent)
    path = os.pathsep.join(each for each in environment["PATH"].split(os.pathsep) if each != activated)
    here = f"cd {shlex.quote(str(folder))} && exec > {shlex.quote(str(output))}\n"
    command = ["bash", "-euo", "pipefail", "-c", here + script]
    shell = programs.start(folder.name, command, {**environment, "PATH": path})
    try:
        shell.finish()
    except ServiceFailed as failure:
        failure.add_note(output.read_text() + shell.log.read_text())
        raise
    finally:
        programs.stop(shell)
    return output.read_text()
