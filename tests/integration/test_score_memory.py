"""How much memory a month takes does not depend on how long it is."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from jobs.trips.synthetic import generate_month

MEGABYTES = 400
GROWTH_MEGABYTES = 80
"""Footers, and what the allocator keeps."""
MILLION = 1_000_000


def peak_mb(trips: Path, model: Path, environment: dict[str, str]) -> float:
    """The most memory of `score`, as Linux counts it."""
    output = trips.with_suffix(".out.parquet")
    # By a small program: a child is charged with its parent's memory, and here that is a test session's.
    words = [*(sys.executable, "-m", "benchmarks.timed"), *(sys.executable, "-m", "jobs", "score")]
    words += [f"--trips={trips}", f"--output={output}", f"--model={model}"]
    said = subprocess.run(words, env=environment, stdout=subprocess.PIPE, check=True).stdout
    took = msgspec.json.decode(said.splitlines()[-1], type=dict[str, float])
    return took["peak_mb"]


def test_twenty_million_rows_fit(
    request: pytest.FixtureRequest, tmp_path: Path, onnx_folder: Path, plain_environment: dict[str, str]
) -> None:
    """With --full; otherwise two million, which a job that keeps its rows would not survive either."""
    millions = 20 if request.config.getoption("--full") else 2
    month = generate_month(date(2021, 3, 1), MILLION)
    few, many = tmp_path / "few-2021-03.parquet", tmp_path / "many-2021-03.parquet"
    pq.write_table(month.slice(0, MILLION // 5), few)
    with pq.ParquetWriter(many, month.schema) as writer:
        for _ in range(millions):
            writer.write_table(month, row_group_size=MILLION)
    small, large = (peak_mb(trips, onnx_folder, plain_environment) for trips in (few, many))
    print(f"{MILLION // 5:,} rows: {small:.0f} MB; {millions * MILLION:,} rows: {large:.0f} MB")
    assert pq.read_metadata(many.with_suffix(".out.parquet")).num_rows > 0.9 * millions * MILLION
    assert large < MEGABYTES
    assert large < small + GROWTH_MEGABYTES
