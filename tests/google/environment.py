"""Starts a function as Cloud Run functions do: from the uploaded archive, in Google's environment.

It imitates the variables that Google's documentation and buildpacks name, the packages of requirements.txt
alone, a file system that is read-only but for /tmp, and an instance that is frozen between two requests.
"""

import re
import shlex
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import msgspec

from jobs.local.processes import ManagedProcess, ProcessGroup, free_port, responds
from jobs.packaging.source_archive import write_archive

PROJECT_ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 2
"""Limit for a request; the deployed 60 and 30 would make the tests slow."""
START_SECONDS = 180.0
_REQUIREMENT = re.compile(r"^([\w.-]+)==", re.MULTILINE)
_READ_ONLY = (
    "mount --make-rprivate / && mount --bind /tmp /tmp && mount -o remount,bind,ro / && "
    "mount --bind {source} {source} && mount -o remount,bind,ro {source} && exec {command}"
)
"""Needs a mount namespace of its own. /tmp is there already, and stays writable except for the source."""


def can_mount() -> bool:
    """Whether this machine lets a process have a file system view of its own."""
    command = ["unshare", "--mount", "sh", "-c", "mount --make-rprivate / && mount --bind /tmp /tmp"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def link_packages(folder: Path) -> Path:
    """Makes a folder of links to the packages that requirements.txt names, and to no others."""
    for name in set(_REQUIREMENT.findall((PROJECT_ROOT / "requirements.txt").read_text())):
        try:
            package = distribution(name)
        except PackageNotFoundError:  # of another Python version
            continue
        for path in _package_paths(package):
            link = folder / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(str(package.locate_file(path)))
    return folder


def _package_paths(package: Distribution) -> set[Path]:
    """The packages and modules of a distribution below site-packages; `google` alone belongs to several."""
    return {_package_path(package, file.parts) for file in package.files or [] if file.parts[0] != ".."}


def _package_path(package: Distribution, parts: tuple[str, ...]) -> Path:
    path = Path()
    for part in parts:
        path /= part
        if Path(str(package.locate_file(path / "__init__.py"))).is_file():
            break
    return path


class Instance:
    """One instance of a function, which can be frozen."""

    def __init__(self, process: ManagedProcess, port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    def log_lines(self) -> list[dict[str, Any]]:
        """What Cloud Logging would take for structured entries."""
        lines = self.process.log.read_bytes().splitlines()
        return [msgspec.json.decode(line) for line in lines if line.startswith(b"{")]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Takes the processor from all processes of the instance while the block runs."""
        self.process.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.signal(signal.SIGCONT)

    def workers(self) -> set[int]:
        """Process ids of gunicorn's workers."""
        table = subprocess.run(["ps", "-A", "-o", "pid=,pgid="], capture_output=True, text=True, check=True)
        rows = (line.split() for line in table.stdout.splitlines())
        return {int(pid) for pid, group in rows if int(group) == self.process.pid} - {self.process.pid}


class GoogleEnvironment:
    """Starts instances of the two functions, one source archive for all."""

    def __init__(self, programs: ProcessGroup, folder: Path) -> None:
        self._programs = programs
        self._source = folder / "source"
        with zipfile.ZipFile(write_archive(PROJECT_ROOT, folder)) as archive:
            archive.extractall(self._source)
        self._packages = link_packages(folder / "packages")

    def variables(self, target: str, port: int) -> dict[str, str]:
        """All variables of a function on Cloud Run, and none of this machine's."""
        service = target.replace("_", "-")
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/root",
            "PORT": str(port),
            "K_SERVICE": service,
            "K_REVISION": f"{service}-00001-abc",
            "K_CONFIGURATION": service,
            "FUNCTION_TARGET": target,
            "FUNCTION_SIGNATURE_TYPE": "http",
            "LOG_EXECUTION_ID": "true",
            "CLOUD_RUN_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
            "PYTHONUNBUFFERED": "TRUE",
            "PYTHONPATH": str(self._packages),
        }

    def start(self, target: str, settings: Mapping[str, str]) -> Instance:
        """Starts an instance and waits until it has a model.

        Args:
            settings: variables that a deployment sets; none of them is one of Google's.
        """
        port = free_port()
        # -S and -s: no package of this environment but the linked ones, so its commands are not there either.
        framework = "from functions_framework._cli import _cli; _cli()"
        options = ["--host=127.0.0.1", f"--source={self._source}/main.py"]
        server = [sys.executable, "-SsP", "-c", framework, *options]
        script = _READ_ONLY.format(source=self._source, command=shlex.join(server))
        command = ["unshare", "--mount", "sh", "-c", script] if can_mount() else server
        name = f"{target} on Google {port}"
        process = self._programs.start(name, command, {**self.variables(target, port), **settings})
        process.wait_until(lambda: responds(f"http://127.0.0.1:{port}/health"), START_SECONDS)
        return Instance(process, port)
