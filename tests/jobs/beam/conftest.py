from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.beam.launch import BatchResult, run_batch
from jobs.beam.pipeline_options import parse_options
from jobs.scoring.job import ScoringRequest
from tests.jobs.scoring.conftest import march, score

__all__ = ["march", "score"]

ONE_PROCESS = ("--direct_num_workers=1",)
KINDS = ("", "rejected/")
"""Subfolders of an output, for predictions and for rejected rows."""

Run = Callable[..., BatchResult]


@pytest.fixture
def beam(onnx_folder: Path, tmp_path: Path) -> Run:
    """Scores files into `out` with the small model, in this process."""

    def run(*trips: Path | str | ScoringRequest, output: str = "", model: str = "") -> BatchResult:
        folder = output or str(tmp_path / "out")
        default = ScoringRequest("", folder)
        requests = [
            each if isinstance(each, ScoringRequest) else default._replace(input=str(each)) for each in trips
        ]
        requests = [request._replace(model=model or str(onnx_folder)) for request in requests]
        return run_batch(requests, parse_options(ONE_PROCESS))

    return run


def rows_below(folder: Path, kind: str = "") -> pa.Table:
    """All rows of one kind below an output, ordered by file name."""
    paths = sorted(folder.glob(f"{kind}*=*/**/*.parquet"))
    return pa.concat_tables([pq.read_table(path, partitioning=None) for path in paths]).combine_chunks()
