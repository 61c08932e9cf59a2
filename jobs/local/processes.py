"""Child processes: each leads its own POSIX process group, writes to a log, and ends with this process.

Processes are started and waited for in background threads. Python handles signals only in the main
thread, so a signal can never arrive between the start of a process and the line that records it.
"""

import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import requests

from functions.errors import RidecastError
from jobs.local.process_groups import end_all, group_exists, signal_group
from jobs.local.reaper import CloudRecord
from jobs.settings import PROJECT_ROOT

PORT_ATTEMPTS = 3
LOCALHOST = "http://127.0.0.1"

_PORT_TAKEN = re.compile(
    rb"address already in use|failed to bind|connection in use|errno (98|48)\b|not available", re.IGNORECASE
)


class ServiceFailed(RidecastError):
    """A service of the local cloud did not start, stopped early or reported a failure."""

    def __init__(self, service: str, reason: str, log: Path | None = None) -> None:
        super().__init__(f"{service} {reason}")
        self.service = service
        self.log = log
        """The service's log file, if it got far enough to write one."""


def free_port() -> int:
    """Returns a port that is free now; another process may take it before the caller binds it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


def responds(url: str) -> bool:
    """Whether a GET request succeeds within two seconds."""
    with requests.Session() as session:
        session.trust_env = False  # never ask a proxy for a port of this machine
        try:
            return session.get(url, timeout=2).ok
        except requests.RequestException:
            return False


class ManagedProcess:
    """A running process and all its children, in a POSIX process group of their own."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Returns when `ready()` is true.

        Raises:
            ServiceFailed: the process exited first, or `seconds` have passed.
        """
        deadline = time.monotonic() + seconds
        while True:
            is_ready = ready()
            # Check the process second: if its port was taken, it is another program that responds there.
            if not self.running:
                raise self.failure()
            if is_ready:
                return
            if time.monotonic() > deadline:
                raise ServiceFailed(self.name, f"did not respond within {seconds:g} seconds", self.log)
            time.sleep(0.05)

    def finish(self, accept: Collection[int] = (0,)) -> None:
        """Waits until the process exits by itself.

        Raises:
            ServiceFailed: its exit code is not one of `accept`.
        """
        if self._process.wait() not in accept:
            raise self.failure()

    def signal(self, number: int) -> None:
        """Sends a signal to the process and its children, if any are left."""
        signal_group(self._process.pid, number)

    def gone(self) -> bool:
        """Whether the process and all its children have ended."""
        return not self.running and not group_exists(self._process.pid)

    def failure(self) -> ServiceFailed:
        """Returns the error that says how the process ended."""
        code = self._process.returncode
        status = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return ServiceFailed(self.name, f"ended with {status}", self.log)


class ProcessGroup:
    """Starts processes and ends them together.

    Args:
        logs: existing folder for the log files.
        record: ends the processes if this process is killed.
    """

    def __init__(self, logs: Path, record: CloudRecord | None = None) -> None:
        self._logs = logs
        self._record = record
        self._lock = threading.Lock()
        self._started: list[ManagedProcess] = []
        self._serving: list[ManagedProcess] = []
        self._closed = False

    def log(self, name: str) -> Path:
        """Returns the log file of the process with this name."""
        return self._logs / f"{name.replace(' ', '-').replace('/', '')}.log"

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        inherit_stdout: bool = False,
    ) -> ManagedProcess:
        """Starts a process whose output is appended to `log(name)`.

        Args:
            inherit_stdout: write standard output to this process's own; the log gets standard error only.

        Raises:
            ServiceFailed: the command cannot be started, or the group is being closed.
        """
        log = self.log(name)
        with self._lock:
            if self._closed:
                raise ServiceFailed(name, "was not started: the local cloud is shutting down", log)
            try:
                with log.open("ab") as file:
                    popen = subprocess.Popen(
                        self._record.registering(name, command) if self._record else command,
                        stdin=self._record.pipe if self._record else subprocess.DEVNULL,
                        stdout=None if inherit_stdout else file,
                        stderr=file,
                        env=dict(environment),
                        cwd=PROJECT_ROOT,
                        start_new_session=True,
                    )
            except OSError as error:
                raise ServiceFailed(name, f"cannot be started: {error}", log) from error
            process = ManagedProcess(name, popen, log)
            self._started.append(process)
        return process

    def start_on_free_port(
        self,
        name: str,
        command: Callable[[int], Sequence[str]],
        environment: Mapping[str, str],
        ready: Callable[[int], bool],
        seconds: float,
    ) -> int:
        """Starts a server; tries another port if the chosen one was taken in the meantime.

        Args:
            command: returns the command for a port.
            ready: whether the server responds on a port.
            seconds: how long to wait until it is ready.

        Returns:
            The port.

        Raises:
            ServiceFailed: the server does not respond.
        """
        for attempt in range(PORT_ATTEMPTS):
            port = free_port()
            process = self.start(name, command(port), environment)
            try:
                process.wait_until(lambda port=port: ready(port), seconds)  # type: ignore[misc]
            except ServiceFailed as failure:
                port_taken = not process.running and _PORT_TAKEN.search(process.log.read_bytes())
                if not port_taken:
                    raise
                if attempt == PORT_ATTEMPTS - 1:
                    raise ServiceFailed(
                        name, f"found port {port}, the last of {PORT_ATTEMPTS}, taken: try again", process.log
                    ) from failure
                with process.log.open("ab") as log:
                    log.write(f"\n{failure}: port {port} was taken, trying another\n".encode())
            else:
                self._serving.append(process)
                return port
        raise AssertionError

    def start_http_server(
        self,
        name: str,
        command: Callable[[int], Sequence[str]],
        environment: Mapping[str, str],
        health_path: str,
        seconds: float,
    ) -> str:
        """Starts a server as `start_on_free_port` does; returns its URL once GET `health_path` succeeds."""
        port = self.start_on_free_port(
            name, command, environment, lambda port: responds(f"{LOCALHOST}:{port}{health_path}"), seconds
        )
        return f"{LOCALHOST}:{port}"

    def run(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        show: bool = True,
        accept: Collection[int] = (0,),
    ) -> None:
        """Runs a process to its end; standard error goes to the log.

        Args:
            show: whether standard output goes to this process's own; else it goes to the log as well.

        Raises:
            ServiceFailed: its exit code is not one of `accept`.
        """
        process = self.start(name, command, environment, inherit_stdout=show)
        try:
            process.finish(accept)
        finally:
            self.stop(process)

    def stop(self, process: ManagedProcess) -> None:
        """Ends one process and its children; may be called again."""
        with self._lock:
            self._stop([process])

    def check(self) -> None:
        """Checks that every server still runs.

        Raises:
            ServiceFailed: a server has ended.
        """
        for process in self._serving:
            if not process.running:
                raise process.failure()

    def close(self, first: Sequence[str] = ()) -> None:
        """Ends every process and its children; may be called again.

        Args:
            first: names of processes that need the others in order to end cleanly.
        """
        with self._lock:
            self._closed = True
            self._stop([process for process in self._started if process.name in first])
            self._stop(list(self._started))

    def _stop(self, processes: Sequence[ManagedProcess]) -> None:
        """Forgets processes that are gone, because their group ids may be reused."""
        end_all(processes)
        self._started = [process for process in self._started if process not in processes]
