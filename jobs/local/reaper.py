"""Ends the processes of a local cloud that was killed, and removes its folder.

While a cloud runs it holds the lock of its record, a file that names its folder and its processes. A record
that is not locked belongs to a cloud that was killed. Its processes are ended twice over: at once by the
cloud's reaper, a process that waits beside it, and otherwise by the next cloud that starts.

`python -m jobs.local.reaper RECORD` is the reaper. It acts when its standard input ends: a pipe that the
system closes however the cloud ends. A process that the cloud starts holds that pipe, too, until it has
entered itself into the record, so that none is missed.
"""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from jobs.local.process_groups import end_all, group_exists, signal_group
from jobs.settings import PROJECT_ROOT

RECORDS = PROJECT_ROOT / ".cache" / "clouds"
REAPER_SECONDS = 5.0
"""For a reaper to end after an orderly shutdown."""

_REGISTER = """
if [ -r /proc/$$/stat ]; then read -r started < /proc/$$/stat; else started=$(/bin/ps -o lstart= -p $$); fi
printf '%s\\t%s\\t%s\\n' "$1" "$$" "$started" >> "$0"
shift
exec "$@" < /dev/null
"""
"""Shell script that enters its process into the record `$0` under the name `$1`, and becomes the command."""


class Leftover(NamedTuple):
    """A process of a cloud, the leader of its process group."""

    name: str
    pid: int
    started: str
    """Tells it from a later process with the same number, see `_start_time`."""

    def runs(self) -> bool:
        return bool(self.started) and _start_time(self.pid) == self.started

    def signal(self, number: int) -> None:
        signal_group(self.pid, number)

    def gone(self) -> bool:
        return not group_exists(self.pid)


class CloudRecord:
    """The record of a cloud of this process, and its reaper.

    Args:
        folder: the cloud's temporary folder, to be removed if this process is killed.
    """

    def __init__(self, folder: Path) -> None:
        RECORDS.mkdir(parents=True, exist_ok=True)
        self._path = RECORDS / f"{folder.name}.txt"
        # Locked before others can find it under its name.
        unlocked = self._path.with_suffix(".new")
        self._file = unlocked.open("x")
        with suppress(OSError):  # without file locks nothing is ended, see `reap`
            fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.write(f"{_boot()}\t{folder}\n")
        self._file.flush()
        unlocked.replace(self._path)
        self._reaper = subprocess.Popen(
            [sys.executable, "-m", "jobs.local.reaper", str(self._path)],
            cwd=PROJECT_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pipe(self) -> IO[bytes]:
        """Standard input for the commands that `registering` returns."""
        assert self._reaper.stdin
        return self._reaper.stdin

    def registering(self, name: str, command: Sequence[str]) -> list[str]:
        """A command that enters its process into the record and then becomes the given one."""
        return ["/bin/sh", "-c", _REGISTER, str(self._path), name, *command]

    def close(self) -> None:
        """Removes the record, and lets the reaper end; may be called again."""
        self._path.unlink(missing_ok=True)
        self._file.close()
        self.pipe.close()
        try:
            self._reaper.wait(REAPER_SECONDS)
        except subprocess.TimeoutExpired:
            self._reaper.kill()
            self._reaper.wait()


def end_leftovers(records: Path = RECORDS) -> list[str]:
    """Ends what killed clouds have left; returns the names of the processes that were still running."""
    return [name for record in sorted(records.glob("*.txt")) for name in reap(record)]


def reap(record: Path, *, wait: bool = False) -> list[str]:
    """Ends the processes of a record and removes its folder and the record, unless its cloud is running.

    Args:
        wait: until the cloud has ended.

    Returns:
        The names of the processes that were ended.
    """
    try:
        with record.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH if wait else fcntl.LOCK_SH | fcntl.LOCK_NB)
            (boot, folder), *entries = [line.rstrip("\n").split("\t") for line in file]
        processes = [Leftover(name, int(pid), _identify(started)) for name, pid, started in entries]
    except OSError:  # another process has removed it, its cloud is running, or nobody can tell
        return []
    except (ValueError, IndexError):  # cut off, on a full disk
        record.unlink(missing_ok=True)
        return []
    leftovers = [process for process in processes if process.runs()] if boot == _boot() else []
    end_all(leftovers)
    shutil.rmtree(folder, ignore_errors=True)
    record.unlink(missing_ok=True)
    return [leftover.name for leftover in leftovers]


def _boot() -> str:
    """Identifies the time since this machine was started; empty where start times are absolute."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def _start_time(pid: int) -> str:
    """When a process was started; empty if there is no such process."""
    if sys.platform == "linux":
        try:
            return _identify(Path(f"/proc/{pid}/stat").read_text())
        except (FileNotFoundError, ProcessLookupError):
            return ""
    command = ["/bin/ps", "-o", "lstart=", "-p", str(pid)]
    return _identify(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def _identify(status: str) -> str:
    """The start time in a line of /proc/PID/stat, whose other fields change, or in the output of `ps`."""
    _, closed, fields = status.rpartition(")")
    return fields.split()[19] if closed else status.strip()


def main(arguments: Sequence[str]) -> None:
    """Waits until standard input ends, then reaps the record."""
    (record,) = arguments
    sys.stdin.buffer.read()
    # The system may close the pipe of a killed process a moment before it releases its lock.
    reap(Path(record), wait=True)


if __name__ == "__main__":
    main(sys.argv[1:])
