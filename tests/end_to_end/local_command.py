"""A running `python -m jobs local …`, as a person starts it."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

from jobs.settings import PROJECT_ROOT

SETTINGS = ("TRIPS", "RIDES", "RATE", "PICTURE", "PUBSUB_EMULATOR_HOST")


class LocalCommand:
    """The process, its output, and what it leaves behind.

    Args:
        temporary: the folder for its temporary files.
        variables: environment variables.
    """

    def __init__(self, arguments: tuple[str, ...], temporary: Path, variables: dict[str, str]) -> None:
        self.output = ""
        self._temporary = temporary
        temporary.mkdir(exist_ok=True)
        self._marker = uuid.uuid4().hex
        inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jobs", "local", *arguments],
            cwd=PROJECT_ROOT,
            env=inherited | {"TMPDIR": str(temporary), "RIDECAST_TEST": self._marker} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.output += line.decode()

    def wait_for(self, text: str, seconds: float = 500) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert self._process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def kill(self) -> None:
        """Kills the process alone, which leaves it no time to end its children."""
        self._process.send_signal(signal.SIGKILL)

    def end(self, number: int = 0) -> int:
        """Waits for the end, after a signal to the whole group if one is given; returns the exit code."""
        if number and self._process.poll() is None:
            os.killpg(self._process.pid, number)
        code = self._process.wait(700)
        self._reader.join()
        assert self._process.stdout
        self._process.stdout.close()
        return code

    def left_behind(self) -> list[str]:
        """Files and running processes, children and grandchildren, that are still there."""
        files = [str(path) for path in self._temporary.iterdir()]
        return files + [
            _command(process) for process in Path("/proc").glob("[0-9]*") if self._has_marker(process)
        ]

    def _has_marker(self, process: Path) -> bool:
        try:
            return self._marker.encode() in (process / "environ").read_bytes()
        except OSError:
            return False


def _command(process: Path) -> str:
    return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
