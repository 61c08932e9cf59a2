"""Tables with columns of all types, scored by a model that adds up its input."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.mlmodel import PredictionTarget
from functions.model import Model
from functions.releases import Release
from jobs.scoring.engine import BATCH_ROWS, score_rows
from jobs.scoring.layout import output_files
from jobs.scoring.stats import ScoringStats
from jobs.scoring.table_source import TableSource
from jobs.storage.errors import FileAccessError
from jobs.storage.tables import open_table

RELEASE = Release(name="sums", version="7", location="")


class Sums:
    """A scorer that adds up a row's numbers and the lengths of its texts; an unknown number counts 1000."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns

    def score(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[Any]:
        sums = np.zeros(rows)
        for name in self.columns:
            column = table[name]
            texts = column.dtype == object
            sums += [len(text) for text in column] if texts else np.nan_to_num(column, nan=1000)
        return sums


class ScoredTable:
    """A table and the output of scoring it."""

    def __init__(self, folder: Path, table: pa.Table, types: dict[str, str], **options: Any) -> None:
        path = str(folder / "table.parquet")
        pq.write_table(table, path, **options)
        declared = {name: kind for name, kind in types.items() if kind}
        model = Model(RELEASE, PredictionTarget("sum", "units"), Sums(*types), declared)
        output = output_files(str(folder / "out"), (), RELEASE)
        with open_table(path) as source:
            rows = TableSource(source, model)
            self.stats: ScoringStats = score_rows(rows, model, output, lambda _: None)
        self.predicted = pq.read_table(output.predictions)
        self.rejected = pq.read_table(output.rejected)

    @property
    def sums(self) -> list[float]:
        numbers: list[float] = self.predicted["predicted_sum"].to_pylist()
        return numbers

    @property
    def reasons(self) -> list[str]:
        reasons: list[str] = self.rejected["reason"].to_pylist()
        return reasons


TEXT = pa.array(["a", None, "ccc"])
INTEGERS = pa.array([1, None, 3])
TAKEN: dict[str, tuple[pa.Array, str, list[float], list[str]]] = {
    "text": (TEXT, "string", [1, 3], ["x is missing"]),
    "text, no signature": (TEXT, "", [1, 3], ["x is missing"]),
    "large text": (TEXT.cast(pa.large_string()), "string", [1, 3], ["x is missing"]),
    "text views": (TEXT.cast(pa.string_view()), "string", [1, 3], ["x is missing"]),
    "encoded text": (TEXT.dictionary_encode(), "string", [1, 3], ["x is missing"]),
    "encoded text, no signature": (TEXT.dictionary_encode(), "", [1, 3], ["x is missing"]),
    "whole numbers as text": (pa.array([130.0, 7.0, None]), "string", [3, 1], ["x is missing"]),
    "no text at all": (pa.nulls(2), "string", [], ["x is missing"] * 2),
    "numbers in text": (pa.array([" 1.5", "2e1", "x"]), "double", [1.5, 20], ["x is not a number"]),
    "numbers in text, some unknown": (pa.array(["1", None, ""]), "double", [1, 1000], ["x is not a number"]),
    "numbers in text views": (pa.array(["1", "2"], pa.string_view()), "long", [1, 2], []),
    "numbers in encoded text": (pa.array(["4", "4"]).dictionary_encode(), "double", [4, 4], []),
    "booleans": (pa.array([True, False, None]), "boolean", [1, 0], ["x is missing or not a number"]),
    "numbers as booleans": (pa.array([1, 0, 2]), "boolean", [1, 0], ["x is not true or false"]),
    "booleans as numbers": (pa.array([True, False, None]), "double", [1, 0, 1000], []),
    "whole numbers": (INTEGERS, "long", [1, 3], ["x is missing or not a number"]),
    "whole numbers, no signature": (INTEGERS, "", [1, 3], ["x is missing or not a number"]),
    "whole numbers as double": (INTEGERS, "double", [1, 1000, 3], []),
    "whole numbers as float": (INTEGERS.cast(pa.int8()), "float", [1, 1000, 3], []),
    "encoded whole numbers": (INTEGERS.dictionary_encode(), "double", [1, 1000, 3], []),
    "doubles as whole numbers": (
        pa.array([4.0, 4.5, -np.inf, np.nan]),
        "long",
        [4],
        ["x is not a whole number"] * 2 + ["x is missing or not a number"],
    ),
    "too large": (pa.array([2**31, 2**31 - 1]), "integer", [2**31 - 1], ["x is not a whole number"]),
    "too large for a double": (pa.array([2**60 + 1, 1]), "long", [1], ["x is not a whole number"]),
    "large as double": (pa.array([2**60 + 1]), "double", [2.0**60], []),
    "decimals": (pa.array([Decimal("1.25"), None]), "double", [1.25, 1000], []),
    "half precision": (pa.array(np.array([1.5], np.float16)), "float", [1.5], []),
    "no number at all": (pa.nulls(2), "double", [1000, 1000], []),
    "NaN and null": (pa.array([np.nan, None, 2.0]), "double", [1000, 1000, 2], []),
    "NaN and null, no signature": (
        pa.array([np.nan, None, 2.0]),
        "",
        [2],
        ["x is missing or not a number"] * 2,
    ),
}


@pytest.mark.parametrize(("column", "kind", "sums", "reasons"), TAKEN.values(), ids=TAKEN)
def test_a_column_is_taken_as_the_signature_says(
    tmp_path: Path, column: pa.Array, kind: str, sums: list[float], reasons: list[str]
) -> None:
    scored = ScoredTable(tmp_path, pa.table({"x": column}), {"x": kind})
    assert scored.sums == sums
    assert scored.reasons == reasons
    assert scored.stats.rows == len(column)


REFUSED: dict[str, tuple[pa.Array, str, str]] = {
    "dates as numbers": (pa.array([date(2026, 11, 1)]), "double", "has date32[day] in x"),
    "dates as text": (pa.array([date(2026, 11, 1)]), "string", "takes text: convert"),
    "times": (
        pa.array([0], pa.timestamp("us")),
        "",
        "timestamp[us] in x, where sums version 7 takes numbers",
    ),
    "lists": (pa.array([[1]]), "double", "in x, where"),
    "structures": (pa.array([{"a": 1}]), "double", "in x, where"),
    "bytes": (pa.array([b"a"]), "string", "has binary in x"),
    "booleans as text": (pa.array([True]), "string", "has bool in x"),
}


@pytest.mark.parametrize(("column", "kind", "message"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("rows", [0, 1])
def test_a_column_of_another_type_is_a_readable_error(
    tmp_path: Path, column: pa.Array, kind: str, message: str, rows: int
) -> None:
    with pytest.raises(FileAccessError) as raised:
        ScoredTable(tmp_path, pa.table({"x": column[:rows]}), {"x": kind})
    assert message in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path / "table.parquet"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["predicted_sum", "Predicted_Sum", "model_version", "reason", "input"])
def test_a_column_that_scoring_adds_is_not_added_twice(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        FileAccessError, match=f"already has a column {name}, which scoring adds: rename or drop it"
    ):
        ScoredTable(tmp_path, pa.table({"x": [1.0], name: ["?"]}), {"x": "double"})


def test_two_columns_of_one_name_are_an_error(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], ["x", "x"])
    with pytest.raises(FileAccessError, match="has more than one column x"):
        ScoredTable(tmp_path, twice, {"x": "double"})


def test_a_row_with_two_faults_is_rejected_once_with_the_first(tmp_path: Path) -> None:
    table = pa.table({"x": [None, "a", None], "y": [None, None, 1.0]})
    scored = ScoredTable(tmp_path, table, {"x": "string", "y": "long"})
    assert scored.reasons == ["x is missing", "y is missing or not a number", "x is missing"]
    assert scored.stats.rejected == {"x is missing": 2, "y is missing or not a number": 1}
    assert scored.rejected.drop(["reason"]).equals(table)


def test_an_empty_table_gives_empty_files_with_all_columns(tmp_path: Path) -> None:
    table = pa.table({"who": pa.array([], pa.string()), "x": pa.array([], pa.float64())})
    scored = ScoredTable(tmp_path, table, {"x": "double"})
    assert scored.stats.rows == 0
    assert scored.predicted.column_names == ["who", "x", "predicted_sum", "model_version"]
    assert scored.rejected.column_names == ["who", "x", "reason"]
    assert scored.predicted.schema.field("predicted_sum").type == pa.float64()
    assert len(scored.predicted) == len(scored.rejected) == 0


def test_columns_that_the_model_does_not_take_are_unchanged(tmp_path: Path) -> None:
    table = pa.table(
        {
            "x": [1.0, 2.0],
            "day": [date(2026, 11, 1), None],
            "zone": pa.array([0, 1], pa.timestamp("us", "America/New_York")),
            "price": [Decimal("1.20"), None],
            "tags": [["a"], None],
            "dotted.name": [{"deep": 1}, None],
            "kind": pa.array(["a", "b"]).dictionary_encode(),
            "nothing": pa.nulls(2),
        }
    )
    scored = ScoredTable(tmp_path, table, {"x": "double"})
    assert scored.predicted.drop(["predicted_sum", "model_version"]).equals(table)
    assert scored.predicted["model_version"].to_pylist() == ["7", "7"]


def test_a_large_table_keeps_its_order_over_row_groups_batches_and_dictionaries(tmp_path: Path) -> None:
    rows = 300_000
    index = np.arange(rows)
    table = pa.table(
        {
            "index": index,
            "x": pa.array(index * 0.5, mask=index % 7 == 0),
            # Each row group has a dictionary of its own.
            "group": pa.array([f"group {number // 50_000}" for number in index]).dictionary_encode(),
        }
    )
    scored = ScoredTable(tmp_path, table, {"x": "long", "group": "string"}, row_group_size=50_000)
    predictable = index[(index % 7 != 0) & (index % 2 == 0)]
    np.testing.assert_array_equal(scored.predicted["index"], predictable)
    np.testing.assert_array_equal(scored.predicted["predicted_sum"], predictable * 0.5 + len("group 0"))
    assert scored.predicted["group"].to_pylist() == [f"group {number // 50_000}" for number in predictable]
    np.testing.assert_array_equal(scored.rejected["index"], np.setdiff1d(index, predictable))
    assert scored.stats.rows == rows > 10 * BATCH_ROWS


def test_pandas_reads_what_it_wrote(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0, np.nan, 3.0], "who": ["a", "b", None]})
    scored = ScoredTable(tmp_path, pa.Table.from_pandas(frame), {"x": "long"})
    again = scored.predicted.to_pandas()
    assert again["predicted_sum"].tolist() == [1, 3]
    assert list(again.index) == [0, 1]
