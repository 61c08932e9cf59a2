"""The environment of a run: emulators, the peers' virtual environments, and one server at a time."""

import contextlib
import hashlib
import http.client
import sys
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from benchmarks.processes import run_to_end
from benchmarks.servers import ENVIRONMENTS, PEERS, Server
from benchmarks.workload import EXCERPT_BYTES, RequestCase, WrongResponse
from jobs.local.cloud import LocalCloud
from jobs.local.environment import inherited_environment
from jobs.local.processes import ManagedProcess, free_port
from jobs.settings import PROJECT_ROOT

STARTUP_TIMEOUT_SECONDS = 90.0
"""Enough for the slowest tool on a busy machine."""
POLL_SECONDS = 0.002
"""Pause between two attempts to get a first answer."""
RESPONSE_TIMEOUT_SECONDS = 15.0
INSTALL_MARKER = ".installed"
"""File in a peer's environment: the digest of the requirements that are installed there."""


class HttpResponse(NamedTuple):
    """An HTTP response."""

    status: int
    body: bytes


class RunningServer(NamedTuple):
    """A server that has answered its first request."""

    port: int
    program: ManagedProcess
    startup_seconds: float
    """From process start to the first correct answer."""


class Bench(LocalCloud):
    """The local cloud, in which any server can be started."""

    def server_environment(self) -> dict[str, str]:
        """Environment variables of measured processes; bytecode is cached, as in an image."""
        environment = inherited_environment(self.folder) | {"HOME": str(self.folder)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        storage = self.addresses.storage
        return environment | ({"STORAGE_EMULATOR_HOST": storage} if storage else {})

    def install(self, peer: str) -> None:
        """Creates a peer's virtual environment unless it is up to date.

        Raises:
            ServiceFailed: uv cannot create it.
        """
        requirements = PROJECT_ROOT / PEERS / peer / "requirements.txt"
        digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
        folder = ENVIRONMENTS / peer
        marker = folder / INSTALL_MARKER
        if marker.is_file() and marker.read_text() == digest:
            return
        uv, python = str(Path(sys.executable).with_name("uv")), str(folder / "bin" / "python")
        with self.screen.step(f"install {peer}") as step:
            step.detail = str(folder.relative_to(PROJECT_ROOT))
            for argv in (
                [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
                [
                    *(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python),
                    *("--requirements", str(requirements)),
                ],
            ):
                run_to_end(self.processes, f"install {peer}", argv, inherited_environment(self.folder))
            marker.write_text(digest)

    @contextlib.contextmanager
    def serving(
        self, server: Server, case: RequestCase, environment: Mapping[str, str] | None = None
    ) -> Iterator[RunningServer]:
        """Starts a server and waits for its first answer; stops it on exit.

        Args:
            case: the first request, which is repeated until it is answered.
            environment: variables added to the server's own.

        Raises:
            ServiceFailed: it does not answer in time.
            WrongResponse: its answer is not the model's prediction.
        """
        port = free_port()
        variables = {**self.server_environment(), **server.environment, **(environment or {})}
        if server.peer:  # some tools start others from the PATH
            variables["PATH"] = f"{ENVIRONMENTS / server.peer / 'bin'}:{variables['PATH']}"
        start = time.perf_counter()
        program = self.processes.start(server.name, server.command(port), variables)
        try:
            program.wait_until(lambda: self._poll(server, port, case), STARTUP_TIMEOUT_SECONDS)
            yield RunningServer(port, program, time.perf_counter() - start)
        finally:
            self.processes.stop(program)

    def _poll(self, server: Server, port: int, case: RequestCase) -> bool:
        """Polls for a second at short intervals; `wait_until` itself polls only twenty times a second."""
        for _ in range(round(1 / POLL_SECONDS)):
            with contextlib.suppress(OSError, http.client.HTTPException):
                response = post(port, server.format.path, case.body)
                if response.status == HTTPStatus.OK:
                    check(server, case, response)
                    return True
            time.sleep(POLL_SECONDS)
        return False


def check(server: Server, case: RequestCase, response: HttpResponse) -> None:
    """Raises WrongResponse unless the response is correct."""
    if response.status != HTTPStatus.OK:
        raise WrongResponse(f"it returns status {response.status}: {response.body[:EXCERPT_BYTES]!r}")
    server.format.check(case, response.body, server.tolerance)


def post(port: int, path: str, body: bytes) -> HttpResponse:
    """Sends one request to a local server, over a new connection.

    Raises:
        OSError, http.client.HTTPException: there was no response.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=RESPONSE_TIMEOUT_SECONDS)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return HttpResponse(response.status, response.read())
    finally:
        connection.close()
