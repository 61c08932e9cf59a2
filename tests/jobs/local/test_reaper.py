"""A cloud that is killed leaves no process and no file, whatever it was doing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.local import reaper
from jobs.local.process_groups import group_exists
from jobs.local.processes import ProcessGroup
from jobs.local.reaper import CloudRecord, end_leftovers

CLOUD = """
import os, sys, tempfile, time
from pathlib import Path
from jobs.local import reaper
from jobs.local.processes import ProcessGroup

reaper.RECORDS = Path(sys.argv[1])
folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
record = reaper.CloudRecord(folder)
processes = ProcessGroup(folder, record)
services = [processes.start(name, ["sleep", "300"], os.environ).pid for name in ("first one", "second")]
print(record._reaper.pid, *services, flush=True)
{then}
time.sleep(300)
"""
ENDLESS_STARTS = """
while True:
    processes.start("one more", ["sh", "-c", "exec sleep 300"], os.environ)
"""


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.05)


@pytest.fixture
def start_cloud(tmp_path: Path):
    """Starts a process with a cloud; returns it, and the ids of its reaper and of two services."""
    started: list[subprocess.Popen[str]] = []

    def start(then: str = "") -> "tuple[subprocess.Popen[str], list[int]]":
        command = [sys.executable, "-c", CLOUD.format(then=then), str(tmp_path)]
        cloud = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"MARK": str(tmp_path)}
        )
        started.append(cloud)
        assert cloud.stdout
        return cloud, [int(pid) for pid in cloud.stdout.readline().split()]

    yield start
    for cloud in started:
        cloud.kill()
        cloud.wait()
        cloud.stdout.close()


def folders(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.is_dir()]


def test_processes_and_folder_go_when_a_cloud_is_killed(start_cloud, tmp_path):
    cloud, (_, *services) = start_cloud()
    assert all(map(group_exists, services))
    assert len(folders(tmp_path)) == 1

    cloud.kill()

    wait_until(lambda: not any(map(group_exists, services)) and not list(tmp_path.iterdir()))


def test_a_process_that_was_just_being_started_goes_too(start_cloud, tmp_path):
    for pause in (0.0, 0.02):
        cloud, _ = start_cloud(ENDLESS_STARTS)
        time.sleep(pause)
        cloud.kill()

        wait_until(lambda: not list(tmp_path.iterdir()) and not marked(tmp_path))


def marked(place: Path) -> list[str]:
    """The processes that a cloud has started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"MARK={place}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def test_the_next_start_ends_what_a_killed_reaper_did_not(start_cloud, tmp_path):
    cloud, (reaper_pid, *services) = start_cloud()
    os.kill(reaper_pid, signal.SIGKILL)
    assert end_leftovers(tmp_path) == [], "the cloud is running"
    cloud.kill()
    cloud.wait()
    assert all(map(group_exists, services))

    assert end_leftovers(tmp_path) == ["first one", "second"]

    assert not any(map(group_exists, services))
    assert list(tmp_path.iterdir()) == []


def test_another_process_with_a_recorded_number_is_left_alone(processes, tmp_path):
    other = processes.start("other", ["sleep", "300"], os.environ)
    record = tmp_path / "records" / "killed.txt"
    record.parent.mkdir()
    started = Path(f"/proc/{other.pid}/stat").read_text().strip()
    fields = started.split()
    earlier = " ".join([*fields[:21], "1", *fields[22:]])
    record.write_text(f"{reaper._boot()}\t{tmp_path / 'folder'}\nmlflow\t{other.pid}\t{earlier}\n")
    other_boot = record.with_name("other-boot.txt")
    other_boot.write_text(f"another boot\t{tmp_path / 'folder'}\nmlflow\t{other.pid}\t{started}\n")

    assert end_leftovers(record.parent) == []

    assert other.running
    assert list(record.parent.iterdir()) == []


@pytest.mark.parametrize("content", ["", "boot\t/nowhere\nmlfl", "boot\t/nowhere\nmlflow\t1\t1 (sh"])
def test_a_record_that_was_cut_off_hinders_nobody(content, tmp_path):
    (tmp_path / "killed.txt").write_text(content)

    assert end_leftovers(tmp_path) == []

    assert list(tmp_path.iterdir()) == []


def test_an_orderly_end_leaves_no_record_and_no_reaper(tmp_path, monkeypatch):
    monkeypatch.setattr(reaper, "RECORDS", tmp_path / "records")
    (tmp_path / "folder").mkdir()
    record = CloudRecord(tmp_path / "folder")
    processes = ProcessGroup(tmp_path, record)
    processes.run("quick", ["true"], os.environ)

    processes.close()
    record.close()
    record.close()

    assert list((tmp_path / "records").iterdir()) == []
    assert not group_exists(record._reaper.pid)
