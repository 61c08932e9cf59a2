from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.beam.launch import Done, score_months
from jobs.beam.pipeline_options import parse_options
from jobs.scoring.job import Wish
from tests.jobs.scoring.conftest import march, score

__all__ = ["march", "score"]

ONE_PROCESS = ("--direct_num_workers=1",)
KINDS = ("", "rejected/")
"""Predictions and rejected rows, by where they are below an output."""

Run = Callable[..., Done]


@pytest.fixture
def beam(onnx_folder: Path, tmp_path: Path) -> Run:
    """Scores files with the small model into `out`, in this process."""

    def run(*trips: Path | str | Wish, output: str = "", model: str = "") -> Done:
        where = output or str(tmp_path / "out")
        wishes = [each if isinstance(each, Wish) else Wish(str(each), where) for each in trips]
        wishes = [wish._replace(model=model or str(onnx_folder)) for wish in wishes]
        return score_months(wishes, parse_options(ONE_PROCESS))

    return run


def rows_below(folder: Path, kind: str = "") -> pa.Table:
    """All that was written of a kind, in the order of the files' names."""
    found = sorted(folder.glob(f"{kind}*=*/**/*.parquet"))
    return pa.concat_tables([pq.read_table(path, partitioning=None) for path in found]).combine_chunks()
