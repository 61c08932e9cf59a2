from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.storage.errors import FileAccessError
from jobs.storage.parquet import is_text, open_parquet, to_datetime64, to_float64

UNKNOWN = float("nan")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([130, 7, None]),
        pa.array([130, 7, None], pa.int32()),
        pa.array([130.0, 7.0, UNKNOWN]),
        pa.array(["130", " 7.0 ", "twelve"]),
        pa.array(["1.3e2", "+7.", ""], pa.large_string()),
        pa.array(["130", "7", None]).dictionary_encode(),
        pa.array([Decimal("130.0"), Decimal("7.0"), None], pa.decimal128(5, 1)),
    ],
    ids=lambda column: str(column.type),
)
def test_numbers_are_read_from_any_type(column: pa.Array) -> None:
    np.testing.assert_array_equal(to_float64(column), [130.0, 7.0, UNKNOWN])


def test_booleans_are_one_and_zero() -> None:
    assert to_float64(pa.array([True, False])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_unit_are_microseconds(unit: str) -> None:
    moment = datetime(2021, 3, 14, 1, 59, 59)  # New York time, without a zone
    times = to_datetime64(pa.array([moment, None], pa.timestamp(unit)))
    assert times.dtype == "datetime64[us]"
    assert times[0] == np.datetime64(moment)
    assert np.isnat(times[1])


def test_times_with_a_time_zone_become_new_york_time() -> None:
    column = pa.array([datetime(2021, 7, 1, 12, tzinfo=UTC), None], pa.timestamp("ms", "UTC"))
    assert to_datetime64(column).astype(str).tolist() == ["2021-07-01T08:00:00.000000", "NaT"]


def test_times_in_text_are_parsed_as_in_the_functions() -> None:
    texts = pa.array(["2021-07-01 08:30:59", "2021-07-01T12:00:00Z", "n/a", "2021-02-30 08:00:00", None])
    times = to_datetime64(texts)
    assert times.astype("datetime64[s]").astype(str).tolist() == [
        *("2021-07-01T08:30:59", "2021-07-01T08:00:00"),
        *["NaT"] * 3,
    ]
    assert to_datetime64(texts.dictionary_encode()).astype(str).tolist() == times.astype(str).tolist()


def test_numbers_are_not_times() -> None:
    with pytest.raises(pa.ArrowTypeError, match="expected times, not int64"):
        to_datetime64(pa.array([1614586800000000]))
    assert np.isnat(to_datetime64(pa.nulls(2))).all()


def test_is_text() -> None:
    assert is_text(pa.string())
    assert is_text(pa.dictionary(pa.int8(), pa.large_string()))
    assert not is_text(pa.dictionary(pa.int8(), pa.int64()))


def test_a_file_without_rows_has_one_empty_batch(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"a": pa.array([], pa.int32()), "b": pa.array([], pa.string())}), tmp_path / "none"
    )
    with open_parquet(str(tmp_path / "none")) as source:
        (batch,) = source.batches(["b"], 10)
    assert (batch.num_rows, batch.schema.names) == (0, ["b"])


def test_a_damaged_file_is_an_error_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "damaged.parquet"
    pq.write_table(pa.table({"a": np.random.default_rng(1).random(200_000)}), path, use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[4:200_000] = bytes(199_996)
    path.write_bytes(content)
    with open_parquet(str(path)) as source, pytest.raises(FileAccessError, match="damaged"):
        list(source.batches(["a"], 1000))


def test_duplicate_column_names_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 3, ["a", "b", "a"]), tmp_path / "twice.parquet")
    with (
        pytest.raises(FileAccessError, match="more than one column a"),
        open_parquet(str(tmp_path / "twice.parquet")),
    ):
        pass


def test_integers_beyond_double_precision_become_the_nearest_double() -> None:
    numbers = to_float64(pa.array([2**53 + 1, 2**64 - 1, None], pa.uint64()))
    np.testing.assert_array_equal(numbers, [2.0**53, 2.0**64, np.nan])


def test_view_types_are_read_as_plain_types(tmp_path: Path) -> None:
    table = pa.table({"x": ["a", "b"], "y": [b"c", b"d"], "z": [1, 2]}, metadata={"who": "we"})
    views = pa.schema([("x", pa.string_view()), ("y", pa.binary_view()), ("z", pa.int64())], {"who": "we"})
    pq.write_table(table.cast(views), tmp_path / "views.parquet")
    with open_parquet(str(tmp_path / "views.parquet")) as source:
        assert source.schema == table.schema
        (batch,) = source.batches(["x", "y", "z"], 10)
    assert batch.take(pa.array([1])).to_pylist() == [{"x": "b", "y": b"d", "z": 2}]
