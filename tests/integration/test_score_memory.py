"""The memory that scoring takes does not depend on the length of the month."""

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
"""Footers, and memory that the allocator does not return."""
MILLION = 1_000_000


def peak_mb(trips: Path, model: Path, environment: dict[str, str]) -> float:
    """Peak memory of `score` in MB, as Linux counts it."""
    output = trips.with_suffix(".out.parquet")
    # Started by a small program, because Linux charges a child with its parent's memory: here, pytest's.
    command = [*(sys.executable, "-m", "benchmarks.timed"), *(sys.executable, "-m", "jobs", "score")]
    command += [f"--trips={trips}", f"--output={output}", f"--model={model}"]
    printed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    measured = msgspec.json.decode(printed.splitlines()[-1], type=dict[str, float])
    return measured["peak_mb"]


def test_twenty_million_rows_fit(
    request: pytest.FixtureRequest, tmp_path: Path, onnx_folder: Path, plain_environment: dict[str, str]
) -> None:
    """Twenty million with --full, else two million: too many for a job that keeps its rows in memory."""
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
