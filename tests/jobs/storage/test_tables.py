import gzip
import pickle
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.artifacts import storage_client
from jobs.local.emulators import BUCKET
from jobs.storage.atomic import atomic_write
from jobs.storage.errors import FileAccessError
from jobs.storage.tables import Table, find_files, open_table, require_exists


def read(uri: Path | str, rows: int = 100) -> pa.Table:
    with open_table(str(uri)) as table:
        return pa.Table.from_batches(table.batches(table.names, rows)).combine_chunks()


def write(path: Path, **columns: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def test_a_file_without_rows_has_one_empty_batch(tmp_path: Path) -> None:
    path = write(tmp_path / "none", a=pa.array([], pa.int32()), b=pa.array([], pa.string()))
    with open_table(str(path)) as table:
        (batch,) = table.batches(["b"], 10)
    assert (batch.num_rows, batch.schema.names) == (0, ["b"])


@pytest.mark.parametrize("ending", [".csv", ".CSV", ".csv.gz", ".txt"])
def test_csv_has_the_values_of_parquet(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / "a.parquet", x=[1, 2], y=[0.1, None], z=["a", None], t=[True, False])
    content = b"x,y,z,t\n1,0.1,a,true\n2,,,False\n"
    csv = tmp_path / f"a{ending}"
    csv.write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)
    assert read(csv).equals(read(path))


def test_texts_of_csv_can_be_kept_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1.50,1.50\n2.0,2.0\n")
    with open_table(str(tmp_path / "a.csv")) as table:
        batches = table.keep_text(["x"]).batches(["x", "y"], 10)
        assert pa.Table.from_batches(batches).to_pydict() == {"x": ["1.50", "2.0"], "y": [1.5, 2.0]}


def test_a_folder_is_one_table_in_the_order_of_names(tmp_path: Path) -> None:
    write(tmp_path / "part-01.parquet", a=[3], b=["z"])
    write(tmp_path / "part-00", a=[1, 2], b=["x", "y"])
    (tmp_path / "part-02.csv").write_text("a,b\n4,w\n")
    (tmp_path / "part-03.csv").touch()  # as Spark writes a part without rows
    for name in ("_SUCCESS", "_committed_1", ".part-00.crc", ".hidden.parquet", "part-00.crc"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder.parquet").mkdir()
    assert read(tmp_path).to_pydict() == {"a": [1, 2, 3, 4], "b": ["x", "y", "z", "w"]}
    assert read(f"{tmp_path}/part-0[01]*").to_pydict()["a"] == [1, 2, 3]
    with open_table(f"{tmp_path}/") as table:
        assert table.rows == 4
        ranges = table.split(1)
        assert [rows.first for _, rows in ranges] == [0, 1, 2, 3]
        parts = [part.batches(["a"], 10, rows) for part, rows in pickle.loads(pickle.dumps(ranges))]
        assert [batch["a"].to_pylist() for batches in parts for batch in batches] == [[1], [2], [3], [4]]


def test_types_may_differ_from_part_to_part(tmp_path: Path) -> None:
    moment, local = datetime(2021, 7, 1, 12, tzinfo=UTC), datetime(2021, 7, 1, 8)
    write(
        tmp_path / "0.parquet",
        id=pa.array([1], pa.int32()),
        number=[1],
        time=pa.array([local], pa.timestamp("ms")),
        mixed=pa.array([local], pa.timestamp("us")),
        text=pa.array(["a"], pa.large_string()),
    )
    write(
        tmp_path / "1.parquet",
        text=pa.array(["b"]).dictionary_encode(),
        ID=pa.array([2]),
        number=[2.5],
        time=pa.array([local], pa.timestamp("ns")),
        mixed=pa.array([moment], pa.timestamp("us", "UTC")),
        more=[True],
    )
    table = read(tmp_path)
    assert table.to_pydict() == {
        "id": [1, 2],
        "number": [1.0, 2.5],
        "time": [local, local],
        "mixed": ["2021-07-01 08:00:00.000000", "2021-07-01 12:00:00.000000Z"],
        "text": ["a", "b"],
        "more": [None, True],
    }
    with (
        open_table(str(tmp_path)) as opened,
        pytest.raises(FileAccessError, match=r"0\.parquet has no column more"),
    ):
        opened.require(["id", "more"])


def test_names_that_differ_only_in_case_stay_apart_in_one_file(tmp_path: Path) -> None:
    write(tmp_path / "0.parquet", a=[1], A=[2])
    write(tmp_path / "1.parquet", A=[3.5], a=[4])
    assert read(tmp_path).to_pydict() == {"a": [1, 4], "A": [2.0, 3.5]}


def test_a_file_that_is_replaced_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", x=[1, 2])
    with open_table(str(path)) as table:
        write(path, x=[1, 2, 3])
        with pytest.raises(FileAccessError, match="was replaced while it was read"):
            list(table.batches(["x"], 10))


WRONG = {
    "nowhere.parquet": "does not exist",
    "nowhere.csv": "does not exist",
    "text.parquet": "give a complete Parquet file",
    "table.xlsx": "is a ZIP archive or an Excel workbook",
    "rows.json": "is neither Parquet nor CSV",
    "empty.csv": "is empty",
    "empty.parquet": "give a complete Parquet file",
    "nothing": "holds no Parquet or CSV files: give a file, their folder, or a pattern such as",
    "delta": "is a Delta table",
    "mixed": "README.md is neither Parquet nor CSV",
    "none-*.csv": "matches no file",
}


@pytest.mark.parametrize(("name", "message"), WRONG.items())
def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path, name: str, message: str) -> None:
    contents = {"text.parquet": b"no such month", "table.xlsx": b"PK\x03\x04", "rows.json": b"[1]"}
    for file, content in (contents | {"empty.csv": b"", "empty.parquet": b""}).items():
        (tmp_path / file).write_bytes(content)
    write(tmp_path / "nothing" / "year=2021" / "a.parquet", x=[1])
    (tmp_path / "delta" / "_delta_log").mkdir(parents=True)
    write(tmp_path / "delta" / "a.parquet", x=[1])
    write(tmp_path / "mixed" / "a.parquet", x=[1])
    (tmp_path / "mixed" / "README.md").write_text("hello")
    with pytest.raises(FileAccessError) as raised:
        read(tmp_path / name)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_other_schemes_are_refused() -> None:
    with pytest.raises(FileAccessError, match=r"s3://nyc-tlc/a\.csv cannot be read: give a path, gs://"):
        find_files("s3://nyc-tlc/a.csv")


def test_a_missing_file_is_found_without_opening_any(tmp_path: Path) -> None:
    path = write(tmp_path / "[1].parquet", x=[1])
    require_exists(str(path), str(tmp_path), "https://127.0.0.1:1/not-asked.parquet")
    with pytest.raises(FileAccessError, match="nowhere does not exist"):
        require_exists(str(path), "nowhere")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_files_on_the_web_are_downloaded_once(tmp_path: Path, web: str) -> None:
    write(tmp_path / "a.parquet", x=[1, 2])
    (tmp_path / "a.csv").write_text("x\n1\n2\n")
    for name in ("a.parquet", "a.csv"):
        with open_table(f"{web}/{name}?signature=secret") as table:
            assert table.uri == table.parts[0].uri == f"{web}/{name}"
            (tmp_path / name).unlink()
            assert [batch["x"].to_pylist() for batch in table.batches(["x"], 10)] == [[1, 2]]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, storage: str) -> Iterator[str]:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage)
    storage_client.cache_clear()
    yield f"gs://{BUCKET}/{uuid.uuid4().hex}"
    storage_client.cache_clear()


def test_a_bucket(tmp_path: Path, bucket: str) -> None:
    write(tmp_path / "part-0.parquet", x=[1])
    contents = {
        "part-0.parquet": (tmp_path / "part-0.parquet").read_bytes(),
        "part-1.csv": b"x\n2\n",
        "_SUCCESS": b"",
    }
    for name, content in contents.items():
        with atomic_write(f"{bucket}/month.parquet/{name}") as file:
            file.write(content)
    for uri in (f"{bucket}/month.parquet", f"{bucket}/month.parquet/", f"{bucket}/month.parquet/part-*"):
        assert read(uri).to_pydict() == {"x": [1, 2]}
        require_exists(uri)
    assert read(f"{bucket}/month.parquet/part-1.csv").to_pydict() == {"x": [2]}
    with pytest.raises(FileAccessError, match=r"nowhere\.parquet does not exist"):
        read(f"{bucket}/nowhere.parquet")
    with pytest.raises(FileAccessError, match=r"nowhere\.parquet does not exist"):
        require_exists(f"{bucket}/nowhere.parquet")


def test_copies_are_kept_in_a_folder_of_the_caller(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with open_table(str(tmp_path / "a.csv"), str(scratch)) as table:
        pass
    assert isinstance(table, Table)
    assert len(list(scratch.iterdir())) == 1
    assert [batch["x"].to_pylist() for batch in table.batches(["x"], 10)] == [[1]]
