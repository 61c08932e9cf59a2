from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from jobs.scoring.job import Done, Wish, score_place
from jobs.trips.synthetic import generate_month

MARCH = date(2021, 3, 1)


@pytest.fixture(scope="session")
def march(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated month of 40,000 green trips: several batches."""
    place = tmp_path_factory.mktemp("city") / "green_tripdata_2021-03.parquet"
    pq.write_table(generate_month(MARCH, 40_000), place)
    return place


@pytest.fixture
def score(onnx_folder: Path, tmp_path: Path) -> Callable[..., Done]:
    """Scores a file with the small model into `out`."""

    def run(trips: Path | str, output: str = "", **wish: Any) -> Done:
        where = output or str(tmp_path / "out")
        wish.setdefault("model", str(onnx_folder))
        return score_place(Wish(str(trips), where, **wish), Console(quiet=True))

    return run


def table_of(done: Done) -> pd.DataFrame:
    """What was predicted."""
    return pd.read_parquet(done.output.predictions, partitioning=None)


def rejected_of(done: Done) -> pd.DataFrame:
    return pd.read_parquet(done.output.rejected, partitioning=None)


def write_trips(path: Path, rows: int = 1, prefix: str = "lpep_", **columns: Any) -> Path:
    """Rides of ten minutes with some columns as given; None leaves a column out."""
    moment = pa.array([1614586800_000_000] * rows, pa.timestamp("us"))  # 2021-03-01 08:20
    later = pa.array([1614587400_000_000] * rows, pa.timestamp("us"))
    usual = {
        "PULocationID": [130] * rows,
        "DOLocationID": [205] * rows,
        "trip_distance": [3.66] * rows,
        f"{prefix}pickup_datetime": moment,
        f"{prefix}dropoff_datetime": later,
    }
    kept = {name: values for name, values in (usual | columns).items() if values is not None}
    pq.write_table(pa.table(kept), path)
    return path
