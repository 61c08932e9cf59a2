"""Months by the clock, tried again, backfilled, killed: `jobs schedule` on a real Prefect server."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.rides import NEW_YORK
from jobs.local.prefect_client import PrefectApi
from jobs.local.processes import ManagedProcess, ProcessGroup
from jobs.trips.months import month_before
from jobs.trips.synthetic import generate_month, write_month
from tests.models import save_course_onnx

ROWS = 300
SECONDS = 240
"""Longest wait for anything; a flow run takes three, most of them to start its process."""
NEVER = "0 3 29 2 *"
"""In the next leap year."""
OWN_FLOW = """
import sys

from prefect import flow
from prefect.runtime import flow_run

from jobs.flows.tasks import score_file
from jobs.scoring.job import ScoringRequest


@flow
def own():
    score_file(ScoringRequest(*sys.argv[1:]))
    return flow_run.id


print(own())
"""


class Server(PrefectApi):
    """What the server's API says, in the forms that the tests ask for."""

    def run(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.request("GET", f"flow_runs/{run}")
        return found

    def ended(self, run: str) -> dict[str, Any]:
        """The run, when it has ended."""
        wait_for(lambda: self.run(run)["state_type"] in {"COMPLETED", "FAILED", "CRASHED"})
        return self.run(run)

    def tasks(self, run: str) -> dict[str, dict[str, Any]]:
        """A run's task runs by their names."""
        found = self.request("POST", "task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return {each["name"]: each for each in found}

    def artifacts(self, run: str) -> dict[str, Any]:
        """What a run left to be seen: key → data."""
        found = self.request("POST", "artifacts/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return {each["key"]: each["data"] for each in found if each["key"]}


Serve = Callable[..., ManagedProcess]


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@pytest.fixture
def server(prefect_environment: dict[str, str]) -> Server:
    return Server(prefect_environment["PREFECT_API_URL"])


@pytest.fixture
def serve(
    programs: ProcessGroup,
    prefect_environment: dict[str, str],
    server: Server,
    onnx_folder: Path,
    tmp_path: Path,
) -> Iterator[Serve]:
    """Starts `python -m jobs schedule`, from months in `tmp_path` to `tmp_path/out`."""
    started = []

    def start(*options: str) -> ManagedProcess:
        pattern = tmp_path / "{taxi_type}_tripdata_{year:04d}-{month:02d}.parquet"
        command = [
            *(sys.executable, "-m", "jobs", "schedule", f"--trips={pattern}", f"--output={tmp_path / 'out'}"),
            *(f"--model={onnx_folder}", *options),
        ]
        program = programs.start("schedule", command, prefect_environment)
        started.append(program)
        # The backfill's deployment is made last.
        program.wait_until(lambda: server.is_served("ride-duration-backfill/green"), SECONDS)
        return program

    yield start
    for program in started:
        program.signal(signal.SIGINT)  # as Ctrl-C
        wait_for(lambda program=program: not program.running)  # type: ignore[misc]
        programs.stop(program)


def write(folder: Path, *months: str) -> None:
    for month in months:
        write_month(date.fromisoformat(f"{month}-01"), folder / f"green_tripdata_{month}.parquet", ROWS)


def predictions(folder: Path) -> dict[str, Path]:
    """The finished files of `folder/out` by their months."""
    return {
        f"{path.parts[-3][5:]}-{path.parts[-2][6:]}": path
        for path in sorted(folder.glob("out/taxi_type=green/year=*/month=*/[!.]*.parquet"))
    }


def test_a_scheduled_run_fires_by_itself(serve: Serve, server: Server, tmp_path: Path) -> None:
    today = datetime.now(NEW_YORK).date()
    # The second is another one if the clock strikes midnight at the end of a month.
    months = {f"{month_before(day):%Y-%m}" for day in (today, today + timedelta(days=1))}
    write(tmp_path, *months)
    serve("--every=15")

    of_the_flow = {"flows": {"name": {"any_": ["ride-duration-prediction"]}}, "sort": "START_TIME_ASC"}
    finished = of_the_flow | {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    wait_for(lambda: server.request("POST", "flow_runs/filter", finished))
    run = server.request("POST", "flow_runs/filter", finished)[0]
    assert run["auto_scheduled"]
    assert run["name"] in {f"green {month}" for month in months}
    deployment = server.request("GET", "deployments/name/ride-duration-prediction/green")
    assert deployment["description"] == "Green taxis. Scores the month before the run date's month."
    assert deployment["tags"] == ["ridecast", "green"]
    ((month, path),) = predictions(tmp_path).items()
    assert month in months
    predicted = pq.read_metadata(path).num_rows
    assert 0 < predicted < ROWS, "a generated month has rows that cannot be predicted"
    ((key, report),) = server.artifacts(run["id"]).items()
    assert key.endswith(f"-green-{month}")
    assert f"| rows | {ROWS}," in report
    assert f"| predicted | {predicted}, mean " in report
    assert f"| rejected | {ROWS - predicted} |" in report
    assert f"`{path}`" in report


def test_a_month_that_fails_is_tried_again(serve: Serve, server: Server, tmp_path: Path) -> None:
    serve(f"--cron={NEVER}", "--retry-delay=2", "--retry-delay=4")
    run = server.start_run("ride-duration-prediction/green", run_date="2022-01-02")

    def waits() -> bool:
        return [each["state_name"] for each in server.tasks(run).values()] == ["AwaitingRetry"]

    wait_for(waits)
    assert predictions(tmp_path) == {}
    write(tmp_path, "2021-12")
    ended = server.ended(run)
    assert (ended["state_type"], ended["name"]) == ("COMPLETED", "green 2021-12")
    assert list(predictions(tmp_path)) == ["2021-12"], "the month before January is December"
    assert server.tasks(run)["green 2021-12"]["run_count"] > 1


def test_a_backfill_that_was_killed_goes_on_where_it_was(
    serve: Serve, server: Server, tmp_path: Path
) -> None:
    write(tmp_path, "2021-01", "2021-03")
    long = generate_month(date(2021, 2, 1), 20_000)
    with pq.ParquetWriter(tmp_path / "green_tripdata_2021-02.parquet", long.schema) as file:
        for _ in range(50):
            file.write_table(long)
    program = serve(f"--cron={NEVER}")
    months = {"first": "2021-01", "last": "2021-03"}
    server.start_run("ride-duration-backfill/green", **months, concurrency=1)
    wait_for(lambda: list(tmp_path.glob("out/taxi_type=green/year=2021/month=02/.*.part")))
    program.signal(signal.SIGKILL)
    wait_for(program.gone)
    assert list(predictions(tmp_path)) == ["2021-01"], "the second was in hand"
    finished = predictions(tmp_path)["2021-01"]
    before = finished.stat(), finished.read_bytes()

    serve(f"--cron={NEVER}")
    run = server.start_run("ride-duration-backfill/green", **months)
    assert server.ended(run)["state_type"] == "COMPLETED"
    assert list(predictions(tmp_path)) == ["2021-01", "2021-02", "2021-03"]
    assert (finished.stat().st_mtime_ns, finished.stat().st_ino) == (before[0].st_mtime_ns, before[0].st_ino)
    assert finished.read_bytes() == before[1]
    assert list(tmp_path.rglob(".*.part")) == [], "what the killed run left is gone"
    states = {name: each["state_name"] for name, each in server.tasks(run).items()}
    assert states == {
        "green 2021-01": "Finished before",
        "green 2021-02": "Completed",
        "green 2021-03": "Completed",
    }


def test_a_backfill_keeps_to_its_limit_and_a_failure_stops_no_other_month(
    serve: Serve, server: Server, tmp_path: Path
) -> None:
    write(tmp_path, "2020-12", "2021-01", "2021-02", "2021-03")
    pq.write_table(pa.table({"no": ["trips"]}), tmp_path / "green_tripdata_2021-04.parquet")
    serve(f"--cron={NEVER}", "--retry-delay=0.1")
    run = server.start_run("ride-duration-backfill/green", first="2020-12", last="2021-04", concurrency=2)
    ended = server.ended(run)
    assert ended["name"] == "green 2020-12 to 2021-04"
    assert ended["state_type"] == "FAILED"
    assert "1 of 5 months failed" in ended["state"]["message"]
    assert "green 2021-04: " in ended["state"]["message"]
    assert list(predictions(tmp_path)) == ["2020-12", "2021-01", "2021-02", "2021-03"]

    spans = [(each["start_time"], each["end_time"]) for each in server.tasks(run).values()]
    assert len(spans) == 5
    assert max(sum(start <= moment < end for start, end in spans) for moment, _ in spans) == 2

    artifacts = server.artifacts(run)
    assert len(artifacts) == 5
    rows = json.loads(artifacts["backfill-green"])
    assert [row["state"] for row in rows] == ["scored"] * 4 + ["failed"]
    assert [row["rows"] for row in rows] == [str(ROWS)] * 4 + [""]


def test_a_flow_of_ones_own_scores_any_table(
    prefect_environment: dict[str, str], server: Server, tmp_path: Path
) -> None:
    model = save_course_onnx(tmp_path / "model")
    table = pa.table({"customer": [1, 2, 3], "PU_DO": ["1_2", "3_4", None], "trip_distance": [1.0, 2.0, 3.0]})
    pq.write_table(table, tmp_path / "customers.parquet")
    words = [sys.executable, "-c", OWN_FLOW, str(tmp_path / "customers.parquet"), str(tmp_path / "out")]
    ended = subprocess.run(
        [*words, str(model)],
        env=prefect_environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert ended.returncode == 0, ended.stderr
    (path,) = tmp_path.glob("out/input=customers/*.parquet")
    assert pq.read_table(path)["customer"].to_pylist() == [1, 2]
    ((key, report),) = server.artifacts(ended.stdout.strip()).items()
    assert key == "model-customers"
    assert "| – PU_DO is missing | 1 |" in report
