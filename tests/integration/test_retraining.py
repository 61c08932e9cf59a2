"""The retraining flow on a real Prefect server: when it leaves the champion alone.

That a new one takes over is in tests/end_to_end/test_run.py.
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

from jobs.registry.release_pointer import pointed_at
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
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("retraining")


@pytest.fixture(scope="module")
def environment(prefect_environment: dict[str, str], place: Path) -> dict[str, str]:
    """Where January's model is the champion."""
    environment = prefect_environment | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{place / 'mlflow.db'}",
        "MODEL_BUCKET": str(place / "models"),
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(place)),
    }
    january = place / "green_tripdata_2021-01.parquet"
    pq.write_table(generate_month(date(2021, 1, 1), RIDES), january)
    for words in (["train", f"--trips={january}"], ["promote"]):
        subprocess.run([sys.executable, "-m", "jobs", *words], env=environment, check=True)
    return environment


def retrain(environment: dict[str, str], place: Path, march: pa.Table) -> str:
    """The state in which the flow ends that is run in April."""
    pq.write_table(march, place / "green_tripdata_2021-03.parquet")
    pattern = str(place / "{taxi_type}_tripdata_{year:04d}-{month:02d}.parquet")
    ran = subprocess.run(
        [sys.executable, "-c", FLOW, pattern], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.stdout, ran.stderr
    print(ran.stderr)
    return ran.stdout.splitlines()[-1]


def champion(place: Path) -> str:
    release = pointed_at(str(place / "models/releases/ride-duration/champion.json"))
    assert release
    return release.version


def test_a_month_like_the_others_is_left_alone(environment: dict[str, str], place: Path) -> None:
    state = retrain(environment, place, generate_month(date(2021, 3, 1), RIDES))

    assert state == "Not needed: green 2021-03 passes no limit: the champion stays"
    assert champion(place) == "1"


def test_a_drift_that_is_over_makes_no_champion(
    environment: dict[str, str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    march = date(2021, 3, 1)
    slow, usual = generate_month(march, RIDES, pace=0.5), generate_month(march, RIDES)
    over = pc.greater_equal(usual["lpep_pickup_datetime"], pa.scalar("2021-03-22").cast("timestamp[us]"))
    mixed = pa.concat_tables([slow.filter(pc.invert(over)), usual.filter(over)])
    state = retrain(environment, place, mixed)

    assert state.startswith("Failed: ")
    assert "version 2 stays out: RMSE" in state
    assert champion(place) == "1"
    said = capsys.readouterr().out
    assert "retry" not in said.lower(), "closed gates stay closed"
