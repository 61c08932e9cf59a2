"""A run that is killed at any moment leaves earlier output unchanged, and the next run finishes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from functions.artifacts import storage_client
from jobs.local.emulators import BUCKET
from jobs.storage.files import exists, open_read
from jobs.storage.gcs import CHUNK_BYTES
from tests.jobs.scoring.conftest import write_trips

ROWS = 2_000_000
MOMENTS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97)
"""Fractions of the output that are written when the run is killed."""
LAYOUT = "taxi_type=green/year=2021/month=03/onnx.parquet"
SECONDS = 240


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_trips(tmp_path_factory.mktemp("month") / "green_tripdata_2021-03.parquet", ROWS)


Start = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(month: Path, onnx_folder: Path, plain_environment: dict[str, str]) -> Start:
    def start(output: str, **environment: str) -> "subprocess.Popen[bytes]":
        words = ["--trips", str(month), "--output", output, "--model", str(onnx_folder)]
        return subprocess.Popen(
            [sys.executable, "-m", "jobs", "score", *words],
            env=plain_environment | environment,
            stdout=subprocess.DEVNULL,
        )

    return start


def kill_when(run: "subprocess.Popen[bytes]", reached: Callable[[], bool]) -> bool:
    """Kills the run at that moment; false if it had ended before."""
    deadline = time.monotonic() + SECONDS
    while run.poll() is None and not reached():
        assert time.monotonic() < deadline
        os.sched_yield()
    run.send_signal(signal.SIGKILL)
    return run.wait() == -signal.SIGKILL


def part_sizes(folder: Path) -> list[int]:
    """Sizes of the incomplete files in a folder; one that becomes complete meanwhile is left out."""
    sizes = []
    for part in folder.glob(".*.part"):
        with contextlib.suppress(FileNotFoundError):
            sizes.append(part.stat().st_size)
    return sizes


def finish(run: "subprocess.Popen[bytes]") -> None:
    assert run.wait(SECONDS) == 0


def test_in_a_folder(start: Start, tmp_path: Path) -> None:
    finish(start(str(tmp_path / "whole")))
    whole = (tmp_path / "whole" / LAYOUT).read_bytes()
    out = tmp_path / "out"
    file = out / LAYOUT

    def written(share: float) -> bool:
        return any(size >= share * len(whole) for size in part_sizes(file.parent))

    killed = [kill_when(start(str(out)), lambda share=share: written(share)) for share in MOMENTS]
    assert sum(killed) >= len(MOMENTS) - 1, "the last may just have been finished"
    for path in out.rglob("*.parquet"):
        assert path.read_bytes() == (tmp_path / "whole" / path.relative_to(out)).read_bytes(), path
    assert len(list(file.parent.glob(".*.part"))) <= 1, "each run removes the files of the one before"

    finish(start(str(out)))
    assert file.read_bytes() == whole
    assert [path.name for path in file.parent.iterdir()] == ["onnx.parquet"]

    assert kill_when(start(str(out)), lambda: written(0.5))
    assert file.read_bytes() == whole, "a rerun that is killed leaves the output unchanged"
    assert pq.read_metadata(file).num_rows == ROWS


def test_ctrl_c_leaves_nothing_at_all(start: Start, tmp_path: Path) -> None:
    folder = (tmp_path / LAYOUT).parent
    run = start(str(tmp_path))
    deadline = time.monotonic() + SECONDS
    while not any(part_sizes(folder)):
        assert run.poll() is None
        assert time.monotonic() < deadline
        os.sched_yield()
    run.send_signal(signal.SIGINT)
    assert run.wait(SECONDS) == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("in_cloud")
def test_in_a_bucket(start: Start, storage: str, folder: Path, tmp_path: Path) -> None:
    storage_client.cache_clear()
    uri = f"gs://{BUCKET}/killed"
    uploads = folder / "storage" / ".cloudstorage" / "_resumable"

    def uploaded(steps: int) -> bool:
        """Whether the emulator holds `steps` steps of an unfinished upload."""
        sizes = [path.stat().st_size for path in uploads.glob("*") if path.exists()]
        return max(sizes, default=0) >= steps * CHUNK_BYTES

    for steps in (1, 2):
        for left in uploads.glob("*"):
            left.unlink()
        assert kill_when(start(uri, STORAGE_EMULATOR_HOST=storage), lambda steps=steps: uploaded(steps))
        assert not exists(f"{uri}/{LAYOUT}")
    finish(start(uri, STORAGE_EMULATOR_HOST=storage))
    finish(start(str(tmp_path)))
    with open_read(f"{uri}/{LAYOUT}") as file:
        assert file.read() == (tmp_path / LAYOUT).read_bytes()
