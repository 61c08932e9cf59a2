"""wrk, the HTTP load generator: finds or unpacks it, runs it and reads its figures.

Its Lua script sends prepared requests, so that the client uses as little CPU time as possible.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.processes import run_to_end
from functions.errors import RidecastError
from jobs.local.processes import ProcessGroup

SCRIPT = Path(__file__).with_name("lines.lua")
PACKAGES = ("wrk", "libluajit-5.1-2", "libluajit-5.1-common")
"""Debian's packages of wrk; the other libraries that it needs are part of every Debian."""
INSTALL = "install it (Debian: apt-get install wrk; macOS: brew install wrk)"
DOWNLOAD_SECONDS = 120


class WrkNotFound(RidecastError):
    """wrk is not installed and cannot be unpacked."""


class LoadFailed(RidecastError):
    """The server refused requests or dropped connections under load, so the figures are not valid."""


class Load(msgspec.Struct, frozen=True):
    """Figures of one run of wrk."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    """Responses with a status above 399."""
    broken: int
    """Connections that were refused, dropped or timed out."""

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


class Wrk(NamedTuple):
    """An executable of wrk."""

    command: str
    libraries: str = ""
    """Value of LD_LIBRARY_PATH; empty if the system has its libraries."""

    @property
    def version(self) -> str:
        """Its name and version, the first two words of `wrk -v`."""
        shown = subprocess.run(
            [self.command, "-v"], env=self._environment(), capture_output=True, text=True, check=False
        )
        return " ".join((shown.stdout + shown.stderr).split()[:2])

    def load(self, processes: ProcessGroup, url: str, bodies: Path, connections: int, seconds: int) -> Load:
        """Posts the lines of a file to a URL in turn, one request at a time on each connection.

        Raises:
            ServiceFailed: wrk itself failed.
            LoadFailed: a request failed, or there was none.
        """
        options = ["--threads=1", f"--connections={connections}", f"--duration={seconds}s", "--latency"]
        argv = [self.command, *options, f"--script={SCRIPT}", url, "--", str(bodies)]
        return read_load(run_to_end(processes, "wrk", argv, self._environment()).read_text(errors="replace"))

    def _environment(self) -> dict[str, str]:
        return dict(os.environ) | ({"LD_LIBRARY_PATH": self.libraries} if self.libraries else {})


def read_load(output: str) -> Load:
    """The figures of the last run in the output of wrk.

    Raises:
        LoadFailed: a request failed, or there was none.
    """
    load = msgspec.json.decode(output.splitlines()[-1], type=Load)
    if load.refused or load.broken or not load.requests:
        raise LoadFailed(
            f"of {load.requests} requests, {load.refused} were refused and {load.broken} connections dropped"
        )
    return load


def find_wrk(cache: Path) -> Wrk:
    """Finds wrk on the PATH; otherwise unpacks Debian's packages without installing them.

    Args:
        cache: folder for the unpacked packages.

    Raises:
        WrkNotFound: it cannot be unpacked; the message explains how to install it.
    """
    if command := shutil.which("wrk"):
        return Wrk(command)
    if not (cache / "usr" / "bin" / "wrk").exists():
        _unpack(cache)
    libraries = {str(path.parent) for path in cache.glob("usr/lib/**/*.so*")}
    return Wrk(str(cache / "usr" / "bin" / "wrk"), ":".join(sorted(libraries)))


def _unpack(cache: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise WrkNotFound(f"the load generator wrk is not on the PATH: {INSTALL}")
    cache.mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "--quiet", "download", *PACKAGES], cache)
    for package in sorted(cache.glob("*.deb")):
        _run(["dpkg", "--extract", package.name, "."], cache)
        package.unlink()


def _run(argv: Sequence[str], folder: Path) -> None:
    process = subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
    )
    if process.returncode:
        raise WrkNotFound(f"the load generator wrk cannot be unpacked: {INSTALL}. {process.stderr.strip()}")
