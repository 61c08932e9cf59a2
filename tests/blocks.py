"""A document's blocks, run as a person would paste them, from top to bottom in one shell."""

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jobs.local.processes import ProcessGroup, ServiceFailed, free_port

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """What stands between two fences."""

    kind: str
    """`sh`, `json`, `text`, …"""
    text: str


def blocks_of(document: str) -> list[Block]:
    """The blocks of a document, whose path is given from the repository's root."""
    return [Block(*found) for found in _BLOCK.findall((ROOT / document).read_text())]


def script_of(blocks: list[Block], ports: tuple[str, ...], without: tuple[str, ...] = ()) -> str:
    """The shell blocks, with free ports, and each answer of curl on a line of its own.

    Args:
        ports: those that the document names.
        without: lines that are left out.
    """
    free = {port: str(free_port()) for port in ports}
    named = re.compile(rf"\b({'|'.join(ports)})\b")
    lines = []
    for block in blocks:
        for line in block.text.splitlines() if block.kind == "sh" else []:
            lines.append(named.sub(lambda port: free[port[0]], line))
            if line.startswith("curl"):
                lines.append("echo")
    return "\n".join(line for line in lines if line not in without).replace("localhost:", "127.0.0.1:")


def checkout(folder: Path) -> Path:
    """Makes a folder look like a fresh checkout that is installed."""
    for name in ("main.py", "functions", "jobs", "examples"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    (folder / ".cache").mkdir()
    return folder


def paste(programs: ProcessGroup, script: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Runs a script in a folder: its standard output. What it left running is ended.

    Raises:
        ServiceFailed: a line of it failed.
    """
    here = f"cd {shlex.quote(str(folder))} && exec > out\n"
    shell = programs.start(folder.name, ["bash", "-euo", "pipefail", "-c", here + script], environment)
    try:
        shell.finish()
    except ServiceFailed as failure:
        failure.add_note((folder / "out").read_text() + shell.log.read_text())
        raise
    finally:
        programs.stop(shell)
    return (folder / "out").read_text()
