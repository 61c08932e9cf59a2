"""wrk, the HTTP load generator: found or unpacked, run, and what it measured.

Its Lua script sends prepared requests, so that the client costs the two cores as little as it can.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from functions.errors import RidecastError
from jobs.local.processes import Programs

SCRIPT = Path(__file__).with_name("lines.lua")
PACKAGES = ("wrk", "libluajit-5.1-2", "libluajit-5.1-common")
"""Debian's, of which wrk is made; the other libraries it needs are on every Debian."""
INSTALL = "install it (Debian: apt-get install wrk; macOS: brew install wrk)"
DOWNLOAD_SECONDS = 120


class NoWrk(RidecastError):
    """There is no wrk, and none can be unpacked here."""


class BrokenLoad(RidecastError):
    """Under load the server refused requests or broke connections off, so its figures mean nothing."""


class Load(msgspec.Struct, frozen=True):
    """What one run of wrk measured."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    """Answers with a status above 399."""
    broken: int
    """Connections that were refused, ended or silent."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


class Wrk(NamedTuple):
    """A wrk that runs here."""

    command: str
    libraries: str = ""
    """Folders of its libraries, as LD_LIBRARY_PATH takes them; empty if the system has them."""

    @property
    def version(self) -> str:
        """Its name and version, as `-v` says it first."""
        said = subprocess.run(
            [self.command, "-v"], env=self._environment(), capture_output=True, text=True, check=False
        )
        return " ".join((said.stdout + said.stderr).split()[:2])

    def load(self, programs: Programs, url: str, bodies: Path, connections: int, seconds: int) -> Load:
        """Posts the lines of a file to a URL for so many seconds, one after the other on each connection.

        Raises:
            PartFailed: wrk itself failed.
            BrokenLoad: not every request was answered with success.
        """
        words = [self.command, "--threads=1", f"--connections={connections}", f"--duration={seconds}s"]
        program = programs.start(
            "wrk", [*words, "--latency", f"--script={SCRIPT}", url, "--", str(bodies)], self._environment()
        )
        try:
            program.finish()
        finally:
            programs.end(program)
        return read_load(program.log.read_text(errors="replace"))

    def _environment(self) -> dict[str, str]:
        return dict(os.environ) | ({"LD_LIBRARY_PATH": self.libraries} if self.libraries else {})


def read_load(output: str) -> Load:
    """The last run of wrk in what it wrote.

    Raises:
        BrokenLoad: not every request was answered with success.
    """
    load = msgspec.json.decode(output.splitlines()[-1], type=Load)
    if load.refused or load.broken or not load.requests:
        raise BrokenLoad(
            f"of {load.requests} requests {load.refused} were refused and {load.broken} connections broken"
        )
    return load


def find_wrk(cache: Path) -> Wrk:
    """wrk from the PATH; else Debian's, unpacked without being installed.

    Args:
        cache: folder that keeps what was unpacked.

    Raises:
        NoWrk: with the way to get it.
    """
    if command := shutil.which("wrk"):
        return Wrk(command)
    if not (cache / "usr" / "bin" / "wrk").exists():
        _unpack(cache)
    libraries = {str(path.parent) for path in cache.glob("usr/lib/**/*.so*")}
    return Wrk(str(cache / "usr" / "bin" / "wrk"), ":".join(sorted(libraries)))


def _unpack(cache: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise NoWrk(f"wrk, which makes the load, is not on the PATH: {INSTALL}")
    cache.mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "--quiet", "download", *PACKAGES], cache)
    for package in sorted(cache.glob("*.deb")):
        _run(["dpkg", "--extract", package.name, "."], cache)
        package.unlink()


def _run(words: Sequence[str], folder: Path) -> None:
    ran = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
    )
    if ran.returncode:
        raise NoWrk(f"wrk, which makes the load, cannot be unpacked: {INSTALL}. {ran.stderr.strip()}")
