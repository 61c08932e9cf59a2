from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from jobs.scoring.job import ScoringRequest, ScoringResult, run_scoring
from jobs.trips.synthetic import generate_month

MARCH = date(2021, 3, 1)


@pytest.fixture(scope="session")
def march(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated month of 40,000 green trips: several batches."""
    path = tmp_path_factory.mktemp("city") / "green_tripdata_2021-03.parquet"
    pq.write_table(generate_month(MARCH, 40_000), path)
    return path


@pytest.fixture
def score(onnx_folder: Path, tmp_path: Path) -> Callable[..., ScoringResult]:
    """Scores a file with the small model into `out`."""

    def run(trips: Path | str, output: str = "", **options: Any) -> ScoringResult:
        options.setdefault("model", str(onnx_folder))
        return run_scoring(
            ScoringRequest(str(trips), output or str(tmp_path / "out"), **options), Console(quiet=True)
        )

    return run


def table_of(result: ScoringResult) -> pd.DataFrame:
    """The predictions."""
    return pd.read_parquet(result.output.predictions, partitioning=None)


def rejected_of(result: ScoringResult) -> pd.DataFrame:
    return pd.read_parquet(result.output.rejected, partitioning=None)


def write_trips(path: Path, rows: int = 1, prefix: str = "lpep_", **columns: Any) -> Path:
    """Rides of ten minutes with some columns as given; None leaves a column out."""
    pickup = pa.array([1614586800_000_000] * rows, pa.timestamp("us"))  # 2021-03-01 08:20
    dropoff = pa.array([1614587400_000_000] * rows, pa.timestamp("us"))
    defaults = {
        "PULocationID": [130] * rows,
        "DOLocationID": [205] * rows,
        "trip_distance": [3.66] * rows,
        f"{prefix}pickup_datetime": pickup,
        f"{prefix}dropoff_datetime": dropoff,
    }
    present = {name: values for name, values in (defaults | columns).items() if values is not None}
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(present), path)
    return path
