"""Tables of all kinds of columns, through the whole of scoring; the model adds up what it is given."""

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

from functions.mlmodel import Target
from functions.model import Model
from functions.releases import Release
from jobs.scoring.engine import BATCH_ROWS, score
from jobs.scoring.layout import output_of
from jobs.scoring.stats import Outcome
from jobs.scoring.table_source import ScoredTable
from jobs.storage.files import FileAccessError
from jobs.storage.parquet import open_parquet

RELEASE = Release(name="sums", version="7", location="")


class Sums:
    """A row's numbers and the lengths of its texts, added up; what is not known counts 1000."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns

    def score(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[Any]:
        sums = np.zeros(rows)
        for name in self.columns:
            column = table[name]
            texts = column.dtype == object
            sums += [len(text) for text in column] if texts else np.nan_to_num(column, nan=1000)
        return sums


class Scored:
    """What came of a table."""

    def __init__(self, folder: Path, table: pa.Table, types: dict[str, str], **how: Any) -> None:
        place = str(folder / "table.parquet")
        pq.write_table(table, place, **how)
        named = {name: kind for name, kind in types.items() if kind}
        model = Model(RELEASE, Target("sum", "units"), Sums(*types), named)
        output = output_of(str(folder / "out"), (), RELEASE)
        with open_parquet(place) as source:
            subject = ScoredTable(source, model)
            self.outcome: Outcome = score(subject, model, output, lambda _: None)
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
    "numbers in text": (pa.array([" 1.5", "2e1", "x"]), "double", [1.5, 20], ["x is no number"]),
    "numbers in text, some unknown": (pa.array(["1", None, ""]), "double", [1, 1000], ["x is no number"]),
    "numbers in text views": (pa.array(["1", "2"], pa.string_view()), "long", [1, 2], []),
    "numbers in encoded text": (pa.array(["4", "4"]).dictionary_encode(), "double", [4, 4], []),
    "booleans": (pa.array([True, False, None]), "boolean", [1, 0], ["x is missing or no number"]),
    "numbers as booleans": (pa.array([1, 0, 2]), "boolean", [1, 0], ["x is not true or false"]),
    "booleans as numbers": (pa.array([True, False, None]), "double", [1, 0, 1000], []),
    "whole numbers": (INTEGERS, "long", [1, 3], ["x is missing or no number"]),
    "whole numbers, no signature": (INTEGERS, "", [1, 3], ["x is missing or no number"]),
    "whole numbers as double": (INTEGERS, "double", [1, 1000, 3], []),
    "whole numbers as float": (INTEGERS.cast(pa.int8()), "float", [1, 1000, 3], []),
    "encoded whole numbers": (INTEGERS.dictionary_encode(), "double", [1, 1000, 3], []),
    "doubles as whole numbers": (
        pa.array([4.0, 4.5, -np.inf, np.nan]),
        "long",
        [4],
        ["x is not a whole number"] * 2 + ["x is missing or no number"],
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
        ["x is missing or no number"] * 2,
    ),
}


@pytest.mark.parametrize(("column", "kind", "sums", "reasons"), TAKEN.values(), ids=TAKEN)
def test_a_column_is_taken_as_the_signature_says(
    tmp_path: Path, column: pa.Array, kind: str, sums: list[float], reasons: list[str]
) -> None:
    scored = Scored(tmp_path, pa.table({"x": column}), {"x": kind})
    assert scored.sums == sums
    assert scored.reasons == reasons
    assert scored.outcome.rows == len(column)


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


@pytest.mark.parametrize(("column", "kind", "said"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("rows", [0, 1])
def test_a_column_of_another_kind_is_an_error_in_a_sentence(
    tmp_path: Path, column: pa.Array, kind: str, said: str, rows: int
) -> None:
    with pytest.raises(FileAccessError) as raised:
        Scored(tmp_path, pa.table({"x": column[:rows]}), {"x": kind})
    assert said in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path / "table.parquet"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["predicted_sum", "Predicted_Sum", "model_version", "reason", "input"])
def test_a_column_that_scoring_adds_is_not_added_twice(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileAccessError, match=f"already has a column {name}, which scoring adds: rename it"):
        Scored(tmp_path, pa.table({"x": [1.0], name: ["?"]}), {"x": "double"})


def test_two_columns_of_one_name_are_told_apart_by_nobody(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], ["x", "x"])
    with pytest.raises(FileAccessError, match="has more than one column x"):
        Scored(tmp_path, twice, {"x": "double"})


def test_a_row_with_two_faults_is_rejected_once_with_the_first(tmp_path: Path) -> None:
    table = pa.table({"x": [None, "a", None], "y": [None, None, 1.0]})
    scored = Scored(tmp_path, table, {"x": "string", "y": "long"})
    assert scored.reasons == ["x is missing", "y is missing or no number", "x is missing"]
    assert scored.outcome.rejected == {"x is missing": 2, "y is missing or no number": 1}
    assert scored.rejected.drop(["reason"]).equals(table)


def test_an_empty_table_gives_empty_files_with_all_columns(tmp_path: Path) -> None:
    table = pa.table({"who": pa.array([], pa.string()), "x": pa.array([], pa.float64())})
    scored = Scored(tmp_path, table, {"x": "double"})
    assert scored.outcome.rows == 0
    assert scored.predicted.column_names == ["who", "x", "predicted_sum", "model_version"]
    assert scored.rejected.column_names == ["who", "x", "reason"]
    assert scored.predicted.schema.field("predicted_sum").type == pa.float64()
    assert len(scored.predicted) == len(scored.rejected) == 0


def test_what_the_model_does_not_take_comes_out_as_it_went_in(tmp_path: Path) -> None:
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
    scored = Scored(tmp_path, table, {"x": "double"})
    assert scored.predicted.drop(["predicted_sum", "model_version"]).equals(table)
    assert scored.predicted["model_version"].to_pylist() == ["7", "7"]


def test_a_large_table_keeps_its_order_over_row_groups_batches_and_dictionaries(tmp_path: Path) -> None:
    rows = 300_000
    place = np.arange(rows)
    table = pa.table(
        {
            "place": place,
            "x": pa.array(place * 0.5, mask=place % 7 == 0),
            # Each row group has a dictionary of its own.
            "group": pa.array([f"group {number // 50_000}" for number in place]).dictionary_encode(),
        }
    )
    scored = Scored(tmp_path, table, {"x": "long", "group": "string"}, row_group_size=50_000)
    fine = place[(place % 7 != 0) & (place % 2 == 0)]
    np.testing.assert_array_equal(scored.predicted["place"], fine)
    np.testing.assert_array_equal(scored.predicted["predicted_sum"], fine * 0.5 + len("group 0"))
    assert scored.predicted["group"].to_pylist() == [f"group {number // 50_000}" for number in fine]
    np.testing.assert_array_equal(scored.rejected["place"], np.setdiff1d(place, fine))
    assert scored.outcome.rows == rows > 10 * BATCH_ROWS


def test_pandas_reads_what_it_wrote(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0, np.nan, 3.0], "who": ["a", "b", None]})
    scored = Scored(tmp_path, pa.Table.from_pandas(frame), {"x": "long"})
    again = scored.predicted.to_pandas()
    assert again["predicted_sum"].tolist() == [1, 3]
    assert list(again.index) == [0, 1]
