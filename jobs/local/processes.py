"""Programs beside ours: each in its own process group, with a log, and gone when we are.

Programs are started and waited for in background threads. A signal reaches Python only in the main
thread, so it can never fall between a program's birth and the line that notes it.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import requests

from functions.errors import RidecastError
from jobs.settings import PROJECT_ROOT

PATIENCE_SECONDS = 6.0
"""What a program gets between SIGTERM and SIGKILL; gunicorn and the JVM need less than two."""
PORT_TRIES = 3

_PORT_TAKEN = re.compile(
    rb"address already in use|failed to bind|connection in use|errno (98|48)\b|not available", re.IGNORECASE
)


class PartFailed(RidecastError):
    """A part of the local cloud did not start, stopped early or reported a failure."""

    def __init__(self, part: str, what: str, log: Path | None = None) -> None:
        super().__init__(f"{part} {what}")
        self.part = part
        self.log = log
        """Everything that the part wrote, if it has come so far."""


def free_port() -> int:
    """A port that nobody listens on now; who uses it must be ready to find it taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


def answers(url: str) -> bool:
    """Whether a GET is answered at once and with success."""
    with requests.Session() as session:
        session.trust_env = False  # a proxy has no business on this machine's own ports
        try:
            return session.get(url, timeout=2).ok
        except requests.RequestException:
            return False


class Program:
    """One running program and all its children; leads a process group of its own."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        shows: bool = False,
    ) -> None:
        """Starts it.

        Args:
            log: takes what the program writes.
            shows: the program's standard output goes to ours; only its standard error to the log.
        """
        self.name = name
        self.log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=None if shows else file,
                stderr=file,
                env=dict(environment),
                cwd=PROJECT_ROOT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Returns when the program is ready.

        Raises:
            PartFailed: it ended before, or `seconds` have passed.
        """
        deadline = time.monotonic() + seconds
        while True:
            is_ready = ready()
            # Asked second: a stranger may answer on the port that this program found taken.
            if not self.running:
                raise self.failed()
            if is_ready:
                return
            if time.monotonic() > deadline:
                raise PartFailed(self.name, f"did not answer within {seconds:g} seconds", self.log)
            time.sleep(0.05)

    def finish(self) -> None:
        """Waits for the program's own end.

        Raises:
            PartFailed: it ended with another exit code than 0.
        """
        if self._process.wait() != 0:
            raise self.failed()

    def signal(self, number: int) -> None:
        """Sends a signal to the program and its children; to none if all are gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def gone(self) -> bool:
        """Whether the program and all its children have ended."""
        if self.running:
            return False
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # macOS, when only dead children are left
            return True
        return False

    def failed(self) -> PartFailed:
        """The error that says how the program ended."""
        return PartFailed(self.name, f"ended with {_ending(self._process.returncode)}", self.log)


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


class Programs:
    """All programs that we have started; ends them together."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._lock = threading.Lock()
        self._started: list[Program] = []
        self._serving: list[Program] = []
        self._closed = False

    def log(self, name: str) -> Path:
        """Where the program of this name writes."""
        return self._logs / f"{name.replace(' ', '-').replace('/', '')}.log"

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        shows: bool = False,
    ) -> Program:
        """Starts a program that writes to `log(name)`; see `Program`.

        Raises:
            PartFailed: the command is not to be found, or all is being ended already.
        """
        log = self.log(name)
        with self._lock:
            if self._closed:
                raise PartFailed(name, "was not started: we are stopping", log)
            try:
                program = Program(name, command, environment, log, shows=shows)
            except OSError as error:
                raise PartFailed(name, f"cannot be started: {error}", log) from error
            self._started.append(program)
        return program

    def start_on_free_port(
        self,
        name: str,
        command: Callable[[int], Sequence[str]],
        environment: Mapping[str, str],
        ready: Callable[[int], bool],
        seconds: float,
    ) -> int:
        """Starts a program that listens, again on another port if its port was taken meanwhile.

        Args:
            command: the command for a port.
            ready: whether the program answers on a port.
            seconds: how long it may take until then.

        Returns:
            The port.

        Raises:
            PartFailed: it does not answer.
        """
        for attempt in range(PORT_TRIES):
            port = free_port()
            program = self.start(name, command(port), environment)
            try:
                program.wait_until(lambda port=port: ready(port), seconds)  # type: ignore[misc]
            except PartFailed as failure:
                taken = not program.running and _PORT_TAKEN.search(program.log.read_bytes())
                if not taken or attempt == PORT_TRIES - 1:
                    raise
                with program.log.open("ab") as log:
                    log.write(f"\n{failure}: port {port} was taken, trying another\n".encode())
            else:
                self._serving.append(program)
                return port
        raise AssertionError

    def run(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Runs a program to its end; its standard output goes to ours, its errors to the log.

        Raises:
            PartFailed: it ended with another exit code than 0.
        """
        program = self.start(name, command, environment, shows=True)
        try:
            program.finish()
        finally:
            self.end(program)

    def end(self, program: Program) -> None:
        """Ends one program and its children; may be called again."""
        with self._lock:
            self._end([program])

    def check(self) -> None:
        """Raises:
        PartFailed: a program that should serve has ended.
        """
        for program in self._serving:
            if not program.running:
                raise program.failed()

    def close(self, first: Sequence[str] = ()) -> None:
        """Ends every program and its children; may be called again.

        Args:
            first: names of programs that need the others to end well.
        """
        with self._lock:
            self._closed = True
            self._end([program for program in self._started if program.name in first])
            self._end(list(self._started))

    def _end(self, programs: Sequence[Program]) -> None:
        """Asks first, then does not ask. Forgets a group when it is gone: its number may be given again."""
        left = [program for program in programs if not program.gone()]
        for number, patience in ((signal.SIGTERM, PATIENCE_SECONDS), (signal.SIGKILL, 2.0)):
            for program in left:
                program.signal(number)
            deadline = time.monotonic() + patience
            while left and time.monotonic() < deadline:
                time.sleep(0.02)
                left = [program for program in left if not program.gone()]
        self._started = [program for program in self._started if program not in programs]
