import bz2
import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.storage.csv_files import convert_csv, is_csv_name
from jobs.storage.errors import FileAccessError


def convert(
    folder: Path, content: bytes, name: str = "table.csv"
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The types that were found, and the cells."""
    path = folder / name
    path.write_bytes(content)
    with path.open("rb") as file:
        schema = convert_csv(str(path), file, str(folder / "out.parquet"))
    table = pq.read_table(folder / "out.parquet")
    assert set(table.schema.types) == {pa.string()}
    return {field.name: str(field.type) for field in schema}, table.to_pydict()


TYPES = {
    "whole numbers": (["1", " -7", "0", ""], "int64"),
    "numbers": (["1", "2.5", "-.5", "1e3", "3."], "double"),
    "booleans": (["true", "False"], "bool"),
    "identifiers": (["007", "8"], "string"),
    "telephone numbers": (["+1", "2"], "string"),
    "numbers beyond 64 bits": (["1", "12345678901234567890"], "string"),
    "whole numbers that a double cannot hold, and others": (["9007199254740993", "0.5"], "string"),
    "decimal commas": (["1,5", "2,5"], "string"),
    "dates": (["2021-01-06", "2021-01-07"], "string"),
    "times": (["01/06/2021 06:40:39 AM"], "string"),
    "one text": (["1", "n/a"], "string"),
    "nothing": (["", ""], "null"),
}


@pytest.mark.parametrize(("cells", "dtype"), TYPES.values(), ids=TYPES)
def test_a_column_has_the_narrowest_type_of_all_its_cells(
    tmp_path: Path, cells: list[str], dtype: str
) -> None:
    content = "x;other\n" + "".join(f"{cell};a\n" for cell in cells)
    types, columns = convert(tmp_path, content.encode())
    assert types == {"x": dtype, "other": "string"}
    assert columns["x"] == [cell or None for cell in cells]


def test_a_type_holds_for_the_whole_file(tmp_path: Path) -> None:
    content = "x\n" + "1\n" * 100_000 + "one\n"
    types, columns = convert(tmp_path, content.encode())
    assert types == {"x": "string"}
    assert columns["x"][-2:] == ["1", "one"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_dialects(tmp_path: Path, delimiter: str, line_end: str) -> None:
    rows = [["a", '"b, c;\t|"', "A"], ["1", '"x ""y""' + "\n" + 'z"', '""'], ["2", "", "q"]]
    content = line_end.join(delimiter.join(row) for row in rows)
    _, columns = convert(tmp_path, b"\xef\xbb\xbf" + content.encode())
    assert columns == {"a": ["1", "2"], "b, c;\t|": ['x "y"\nz', None], "A": [None, "q"]}


def test_a_compressed_file_of_several_members(tmp_path: Path) -> None:
    content = gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n")
    types, columns = convert(tmp_path, content, "table.csv.gz")
    assert (types, columns) == ({"a": "int64", "b": "int64"}, {"a": ["1", "3"], "b": ["2", "4"]})


def test_columns_without_a_name_are_called_as_in_pandas_and_spaces_are_dropped(tmp_path: Path) -> None:
    types, _ = convert(tmp_path, b",a , b\n0,1,2\n")
    assert list(types) == ["Unnamed: 0", "a", "b"]


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    assert convert(tmp_path, b"a,b\n") == ({"a": "null", "b": "null"}, {"a": [], "b": []})


BROKEN = {
    "too few cells": (b"a,b\n1,2\n3\n", "in line 3: it has 1 cells, and the first line names 2 columns"),
    "too many cells": (b"a,b\n1,2,3\n", "in line 2: it has 3 cells"),
    "an open quote": (b'a,b\n1,2\n3,"4\n5,6\n', "in line 3: a quote is not closed"),
    "text after a quote": (b'a,b\n1,"2"3\n', "in line 2: a quote is not closed, or stands in the middle"),
    "Latin-1": (b"a,b\n1,caf\xe9\n", "in line 2: it is not UTF-8; convert the file, for example with `iconv"),
    "Latin-1 in a name": (b"caf\xe9,b\n1,2\n", "in line 1: it is not UTF-8"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "in line 1: it is not UTF-8"),
    "two columns of one name": (b"a,b,a\n1,2,3\n", "has more than one column a"),
    "half a gzip file": (gzip.compress(b"a,b\n" + b"1,2\n" * 1000)[:-20], "is not a complete gzip file"),
    "another compression": (bz2.compress(b"a,b\n1,2\n"), "line 1"),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_an_error_with_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(FileAccessError) as raised:
        convert(tmp_path, content)
    assert message in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path / "table.csv"))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("name", ["*.csv", "a[1].csv", "https:evil.csv", "x'); drop.csv", "~.csv", "a?b.csv"])
def test_a_name_is_a_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "b.csv").write_bytes(b"a\n2\n")
    assert convert(tmp_path, b"a\n1\n", name)[1] == {"a": ["1"]}


def test_names_of_csv_files() -> None:
    assert all(map(is_csv_name, ["a.csv", "a.CSV.GZ", "https://host/a.tsv?key=b.parquet", "gs://b/a.txt"]))
    assert not any(map(is_csv_name, ["a.parquet", "csv", "a.csv.zip"]))
