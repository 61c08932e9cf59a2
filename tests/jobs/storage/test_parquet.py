from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.storage.errors import FileAccessError
from jobs.storage.parquet import open_parquet, split_groups


def test_a_damaged_file_is_an_error_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "damaged.parquet"
    pq.write_table(pa.table({"a": np.random.default_rng(1).random(200_000)}), path, use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[4:200_000] = bytes(199_996)
    path.write_bytes(content)
    with open_parquet(str(path)) as source, pytest.raises(FileAccessError, match="damaged"):
        list(source.batches(["a"], 1000, *split_groups(source.group_rows, 1 << 20)))


def test_duplicate_column_names_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 3, ["a", "b", "a"]), tmp_path / "twice.parquet")
    with (
        pytest.raises(FileAccessError, match="more than one column a"),
        open_parquet(str(tmp_path / "twice.parquet")),
    ):
        pass


def test_view_types_are_read_as_plain_types(tmp_path: Path) -> None:
    table = pa.table({"x": ["a", "b"], "y": [b"c", b"d"], "z": [1, 2]}, metadata={"who": "we"})
    views = pa.schema([("x", pa.string_view()), ("y", pa.binary_view()), ("z", pa.int64())], {"who": "we"})
    pq.write_table(table.cast(views), tmp_path / "views.parquet")
    with open_parquet(str(tmp_path / "views.parquet")) as source:
        assert source.schema == table.schema
        (batch,) = source.batches(["x", "y", "z"], 10, *split_groups(source.group_rows, 10))
    assert batch.take(pa.array([1])).to_pylist() == [{"x": "b", "y": b"d", "z": 2}]


def test_messages_name_the_file_that_a_copy_was_made_of(tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes(b"PAR1")
    with (
        pytest.raises(FileAccessError, match="the original cannot be"),
        open_parquet(str(tmp_path / "copy"), "the original"),
    ):
        pass
