"""Columns as arrays, whatever the file keeps them as."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.parquet import numbers_of, open_parquet


def test_a_whole_number_that_no_double_holds_becomes_the_nearest() -> None:
    numbers = numbers_of(pa.array([2**53 + 1, 2**64 - 1, None], pa.uint64()))
    np.testing.assert_array_equal(numbers, [2.0**53, 2.0**64, np.nan])


def test_views_are_read_as_what_arrow_can_take_rows_of(tmp_path: Path) -> None:
    table = pa.table({"x": ["a", "b"], "y": [b"c", b"d"], "z": [1, 2]}, metadata={"who": "we"})
    views = pa.schema([("x", pa.string_view()), ("y", pa.binary_view()), ("z", pa.int64())], {"who": "we"})
    pq.write_table(table.cast(views), tmp_path / "views.parquet")
    with open_parquet(str(tmp_path / "views.parquet")) as source:
        assert source.schema == table.schema
        (batch,) = source.batches(["x", "y", "z"], 10)
    assert batch.take(pa.array([1])).to_pylist() == [{"x": "b", "y": b"d", "z": 2}]
