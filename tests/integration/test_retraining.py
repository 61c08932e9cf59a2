"""The retraining flow on a real Prefect server: when it leaves the champion unchanged.

tests/end_to_end/test_run.py covers the promotion of a new champion.
"""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from jobs.registry.release_pointer import read_pointer
from jobs.trips.synthetic import generate_month

RIDES = 5_000
FLOW = """
import sys
from datetime import date

from jobs.flows.retraining import ride_duration_retraining

state = ride_duration_retraining(
    run_date=date(2021, 4, 2), trips=sys.argv[1], months=1, retry_delays=[0.1], return_state=True
)
print(f"{state.name}: {state.message}")
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("retraining")


@pytest.fixture(scope="module")
def environment(prefect_environment: dict[str, str], workspace: Path) -> dict[str, str]:
    """An environment in which January's model is the champion."""
    environment = prefect_environment | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{workspace / 'mlflow.db'}",
        "MODEL_BUCKET": str(workspace / "models"),
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(workspace)),
    }
    january = workspace / "green_tripdata_2021-01.parquet"
    pq.write_table(generate_month(date(2021, 1, 1), RIDES), january)
    for words in (["train", f"--trips={january}"], ["promote"]):
        subprocess.run([sys.executable, "-m", "jobs", *words], env=environment, check=True)
    return environment


def retrain(environment: dict[str, str], workspace: Path, march: pa.Table) -> str:
    """Runs the flow as in April; returns its final state."""
    pq.write_table(march, workspace / "green_tripdata_2021-03.parquet")
    pattern = str(workspace / "{taxi_type}_tripdata_{year:04d}-{month:02d}.parquet")
    ran = subprocess.run(
        [sys.executable, "-c", FLOW, pattern], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.stdout, ran.stderr
    print(ran.stderr)
    return ran.stdout.splitlines()[-1]


def champion(workspace: Path) -> str:
    release = read_pointer(str(workspace / "models/releases/ride-duration/champion.json"))
    assert release
    return release.version


def test_a_month_within_all_limits_is_left_alone(environment: dict[str, str], workspace: Path) -> None:
    state = retrain(environment, workspace, generate_month(date(2021, 3, 1), RIDES))

    assert state == "Not needed: green 2021-03 is within all limits – the champion stays"
    assert champion(workspace) == "1"


def test_a_drift_that_has_ended_makes_no_champion(
    environment: dict[str, str], workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    march = date(2021, 3, 1)
    slow, usual = generate_month(march, RIDES, speed_factor=0.5), generate_month(march, RIDES)
    over = pc.greater_equal(usual["lpep_pickup_datetime"], pa.scalar("2021-03-22").cast("timestamp[us]"))
    mixed = pa.concat_tables([slow.filter(pc.invert(over)), usual.filter(over)])
    state = retrain(environment, workspace, mixed)

    assert state.startswith("Failed: ")
    assert "version 2 is not promoted, because these gates failed: RMSE" in state
    assert champion(workspace) == "1"
    output = capsys.readouterr().out
    assert "retry" not in output.lower(), "a rejected version is not tried again"
