"""Batch scoring by several processes: equal rows, bounded memory, no leftovers if one is killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from functions.artifacts import storage_client
from jobs.local.emulators import BUCKET
from jobs.scoring.job import ScoringRequest, run_scoring
from jobs.storage.atomic import atomic_write
from jobs.storage.files import join
from jobs.trips.synthetic import generate_month
from tests.jobs.beam.conftest import KINDS, rows_below
from tests.jobs.scoring.conftest import write_trips

SECONDS = 240
PROCESSES = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month of more than three shards, one of which ends within a row group."""
    uri = tmp_path_factory.mktemp("month") / "green_tripdata_2021-03.parquet"
    pq.write_table(generate_month(date(2021, 3, 1), 400_000), uri, row_group_size=300_000)
    return uri


@pytest.fixture
def start(onnx_folder: Path, plain_environment: dict[str, str]) -> Iterator[Start]:
    started = []

    def start(
        trips: Path | str,
        output: Path | str,
        model: Path | str = onnx_folder,
        *options: str,
        **environment: str,
    ) -> "subprocess.Popen[str]":
        arguments = ["--trips", str(trips), "--output", str(output), "--model", str(model)]
        run = subprocess.Popen(
            [sys.executable, "-m", "jobs", "beam", *arguments, *(options or PROCESSES)],
            env=plain_environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(run)
        return run

    yield start
    for run in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.communicate()


def processes_of(run: "subprocess.Popen[str]") -> list[int]:
    """Ids of all processes of a run, its own first."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in table.stdout.splitlines()]
    return sorted(int(pid) for pid, group, state in rows if int(group) == run.pid and state[0] != "Z")


def wait_for(condition: Callable[[], bool], run: "subprocess.Popen[str] | None" = None) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert run is None or run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def writing_shards(output: Path) -> bool:
    """Whether both workers are writing."""
    return len(list(output.glob(".beam-*/.*.predictions.*.part"))) >= 2


def test_two_processes_write_what_score_writes(
    month: Path, start: Start, tmp_path: Path, onnx_folder: Path
) -> None:
    run_scoring(ScoringRequest(str(month), str(tmp_path / "scored"), str(onnx_folder)), Console(quiet=True))
    stdout, stderr = (run := start(month, tmp_path / "out")).communicate(timeout=SECONDS)
    assert (run.returncode, stderr) == (0, "")
    assert "400,000 rows by onnx version onnx in" in stdout
    for kind in KINDS:
        assert rows_below(tmp_path / "out", kind).equals(rows_below(tmp_path / "scored", kind))
    assert not list((tmp_path / "out").glob(".*"))
    assert processes_of(run) == []


def test_if_a_process_is_killed_existing_predictions_stay_and_no_process_does(
    month: Path, start: Start, tmp_path: Path
) -> None:
    write_trips(small := tmp_path / "green_tripdata_2021-03.parquet", 10)
    out = tmp_path / "out"
    start(small, out).communicate(timeout=SECONDS)
    before = rows_below(out)
    assert before.num_rows == 10

    def begin() -> "subprocess.Popen[str]":
        run = start(month, out)
        wait_for(lambda: writing_shards(out), run)
        assert len(processes_of(run)) == 3
        return run

    def wait_until_ended(run: "subprocess.Popen[str]") -> str:
        _, stderr = run.communicate(timeout=SECONDS)
        assert run.returncode
        wait_for(lambda: not processes_of(run))
        assert rows_below(out).equals(before)
        return stderr

    # A terminal sends Ctrl-C to the workers, too.
    os.killpg((run := begin()).pid, signal.SIGINT)
    assert "Traceback" not in wait_until_ended(run)
    assert not list(out.glob(".*"))

    os.kill(processes_of(run := begin())[-1], signal.SIGKILL)
    assert "a worker was lost" in wait_until_ended(run)
    assert not list(out.glob(".*"))

    (run := begin()).kill()
    wait_until_ended(run)
    assert len(list(out.glob(".*"))) == 1
    run = start(month, out)
    run.communicate(timeout=SECONDS)
    assert run.returncode == 0
    assert not list(out.glob(".*"))
    assert rows_below(out).num_rows > 350_000


@pytest.mark.usefixtures("in_cloud")
def test_from_a_bucket_into_a_bucket_and_as_a_job_for_dataflow(
    start: Start, storage: str, onnx_folder: Path, tmp_path: Path, month: Path
) -> None:
    storage_client.cache_clear()
    uri = f"gs://{BUCKET}/beam"
    trips = write_trips(tmp_path / "green_tripdata_2021-03.parquet", 40)
    files = [trips, *(path for path in onnx_folder.rglob("*") if path.is_file())]
    for path in files:
        below = path.relative_to(path.parent if path == trips else onnx_folder)
        with atomic_write(join(uri, "trips" if path == trips else "model", str(below))) as file:
            file.write(path.read_bytes())
    given = f"{uri}/trips/*.parquet", f"{uri}/out", f"{uri}/model"
    emulator = {"STORAGE_EMULATOR_HOST": storage}
    dataflow = ["--runner=DataflowRunner", "--project=my-project", "--region=us-east1"]
    dataflow += [f"--temp_location=gs://{BUCKET}/temp", "--sdk_container_image=image", "--dry_run=True"]
    stdout, stderr = (run := start(*given, *dataflow, **emulator)).communicate(timeout=SECONDS)
    assert (run.returncode, stdout) == (0, "the job was created, but not started\n"), stderr
    stream = [sys.executable, "-m", "jobs", "beam", "--streaming", "--model", given[2], *dataflow]
    stream += [
        "--predictions=projects/my-project/topics/made",
        "--dead-letters=projects/my-project/topics/dead",
    ]
    for project, code in (("my-project", 0), ("p", 1)):
        arguments = [*stream, f"--events=projects/{project}/subscriptions/rides"]
        ended = subprocess.run(
            arguments, env=os.environ | emulator, timeout=SECONDS, check=False, capture_output=True
        )
        assert ended.returncode == code, ended.stderr
    assert b"Error: Invalid PubSub project name: 'p'" in ended.stderr
    names = lambda: {blob.name for blob in storage_client().list_blobs(BUCKET, prefix="beam/out")}  # noqa: E731
    assert names() == set()
    stdout, stderr = (run := start(*given, "--direct_num_workers=1", **emulator)).communicate(timeout=SECONDS)
    assert (run.returncode, stderr) == (0, "")
    layout = "taxi_type=green/year=2021/month=03/model-00000-of-00001.parquet"
    assert names() == {f"beam/out/{layout}", f"beam/out/rejected/{layout}"}
    assert f"predictions: {uri}/out/{layout}" in stdout


def test_memory_does_not_grow_with_the_month(
    start: Start, onnx_folder: Path, tmp_path: Path, plain_environment: dict[str, str]
) -> None:
    """Measures one process as a whole; a job that kept its rows would need 150 MB more."""
    peaks = []
    for rows in (100_000, 2_000_000):
        trips = write_trips(tmp_path / f"green_tripdata_2021-{len(peaks) + 3:02}.parquet", rows)
        arguments = [sys.executable, "-m", "benchmarks.timed", sys.executable, "-m", "jobs", "beam"]
        arguments += ["--trips", str(trips), "--output", str(tmp_path / "out"), "--model", str(onnx_folder)]
        arguments += ["--direct_num_workers=1"]
        stdout = subprocess.run(arguments, env=plain_environment, stdout=subprocess.PIPE, check=True).stdout
        peaks.append(float(stdout.splitlines()[-1].partition(b'"peak_mb":')[2].rstrip(b"}")))
    print(f"100,000 rows: {peaks[0]:.0f} MB; 2,000,000 rows: {peaks[1]:.0f} MB")
    assert peaks[1] < peaks[0] + 80
