"""The ground that a run stands on: emulators, environments, and one server at a time."""

import contextlib
import hashlib
import http.client
import sys
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from benchmarks.questions import SHOWN, Question, WrongAnswer
from benchmarks.servers import ENVIRONMENTS, PEERS, Server
from jobs.local.cloud import LocalCloud
from jobs.local.emulators import start_storage
from jobs.local.processes import Program, Programs, free_port
from jobs.local.screen import Screen
from jobs.settings import PROJECT_ROOT

START_SECONDS = 90.0
"""For the slowest tool on a machine with its hands full."""
LOOK_SECONDS = 0.002
"""Between two tries to get a first answer."""
SILENCE_SECONDS = 15.0
"""For one answer."""
INSTALLED = ".installed"
"""File in a peer's environment: the digest of the requirements it was made from."""


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes


class Running(NamedTuple):
    """A server that answers."""

    port: int
    program: Program
    first_seconds: float
    """From its start to its first right answer."""


class Bench(LocalCloud):
    """The local cloud, with any server in it, one after the other."""

    @property
    def screen(self) -> Screen:
        """Where steps are shown."""
        return self._screen

    @property
    def programs(self) -> Programs:
        """All that was started here; ends with the bench."""
        return self._programs

    def start_storage(self) -> None:
        """Starts Cloud Storage without MLflow.

        Raises:
            PartFailed: it does not answer.
        """
        with self._screen.step("Storage emulator") as step:
            self.storage = start_storage(self.programs, self.folder, self._inherited())
            step.detail = self.storage

    def surroundings(self) -> dict[str, str]:
        """The environment of what is measured: bytecode is kept, as an image has it."""
        kept = self._inherited() | {"HOME": str(self.folder)}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        return kept | ({"STORAGE_EMULATOR_HOST": self.storage} if self.storage else {})

    def install(self, peer: str) -> None:
        """Makes a peer's virtual environment, unless it is there.

        Raises:
            PartFailed: uv cannot make it.
        """
        requirements = PROJECT_ROOT / PEERS / peer / "requirements.txt"
        digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
        folder = ENVIRONMENTS / peer
        installed = folder / INSTALLED
        if installed.is_file() and installed.read_text() == digest:
            return
        uv, python = str(Path(sys.executable).with_name("uv")), str(folder / "bin" / "python")
        with self._screen.step(f"install {peer}") as step:
            step.detail = str(folder.relative_to(PROJECT_ROOT))
            for words in (
                [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
                [
                    *(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python),
                    *("--requirements", str(requirements)),
                ],
            ):
                program = self.programs.start(f"install {peer}", words, self._inherited())
                try:
                    program.finish()
                finally:
                    self.programs.end(program)
            installed.write_text(digest)

    @contextlib.contextmanager
    def serving(
        self, server: Server, question: Question, environment: Mapping[str, str] | None = None
    ) -> Iterator[Running]:
        """The server, started and answering; it has ended when this does.

        Args:
            question: the first, which is asked until it is answered.
            environment: what it is told beside its own.

        Raises:
            PartFailed: it does not answer.
            WrongAnswer: it answers with something else than the model says.
        """
        port = free_port()
        told = {**self.surroundings(), **server.environment, **(environment or {})}
        if server.peer:  # as if its environment were activated: some tools start others by their name
            told["PATH"] = f"{ENVIRONMENTS / server.peer / 'bin'}:{told['PATH']}"
        began = time.perf_counter()
        program = self.programs.start(server.name, server.command(port), told)
        try:
            program.wait_until(lambda: self._answers(server, port, question), START_SECONDS)
            yield Running(port, program, time.perf_counter() - began)
        finally:
            self.programs.end(program)

    def _answers(self, server: Server, port: int, question: Question) -> bool:
        """Looks for a while, closely; `wait_until` itself looks twenty times a second only."""
        for _ in range(round(1 / LOOK_SECONDS)):
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = post(port, server.form.path, question.body)
                if answer.status == HTTPStatus.OK:
                    check(server, question, answer)
                    return True
            time.sleep(LOOK_SECONDS)
        return False


def check(server: Server, question: Question, answer: Answer) -> None:
    """Raises WrongAnswer unless it is what must come back."""
    if answer.status != HTTPStatus.OK:
        raise WrongAnswer(f"it answers {answer.status}: {answer.body[:SHOWN]!r}")
    server.form.check(question, answer.body, server.most)


def post(port: int, path: str, body: bytes) -> Answer:
    """One request to a server of this machine, over a connection of its own.

    Raises:
        OSError, http.client.HTTPException: there was no answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SILENCE_SECONDS)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return Answer(response.status, response.read())
    finally:
        connection.close()
