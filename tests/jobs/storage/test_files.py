import fcntl
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from functions.artifacts import storage_client
from jobs.local.emulators import BUCKET
from jobs.storage.files import (
    FileAccessError,
    exists,
    join,
    matching,
    move,
    name_of,
    names_in,
    reading,
    remove,
    writing,
)


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "new" / "file"
    with writing(str(place)) as file:
        file.write(b"who")
        assert not place.exists()
        file.write(b"le")
    assert place.read_bytes() == b"whole"
    assert [path.name for path in place.parent.iterdir()] == ["file"]
    with reading(str(place)) as again:
        assert again.read() == b"whole"


def test_a_body_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"old")
    with suppress(KeyboardInterrupt), writing(str(place)) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert place.read_bytes() == b"old"


def test_what_a_killed_writer_left_is_hidden_and_goes_with_the_next_one(tmp_path: Path) -> None:
    place = tmp_path / "file"
    program = (
        "import sys; from jobs.storage.files import writing\n"
        f"with writing({str(place)!r}) as file:\n"
        "    file.write(b'half'); file.flush(); print('written', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == b"written\n"
        with writing(str(place)) as file:
            file.write(b"other")
        assert len(list(tmp_path.iterdir())) == 2, "a writer that lives keeps its file"
        writer.send_signal(signal.SIGKILL)
    left = {path.name for path in tmp_path.iterdir()} - {"file"}
    assert len(left) == 1
    assert left.pop().startswith(".")
    with writing(str(place)) as file:
        file.write(b"next")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert place.read_bytes() == b"next"


def test_two_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    place = tmp_path / "file"
    contents = [bytes([letter]) * 1_000_000 for letter in b"ab"]
    both = threading.Barrier(2)

    def write(content: bytes) -> None:
        with writing(str(place)) as file:
            both.wait(10)
            file.write(content)

    threads = [threading.Thread(target=write, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place.read_bytes() in contents
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("place", ["", ".", "/"])
def test_a_path_without_a_name_is_no_file(place: str) -> None:
    with pytest.raises(FileAccessError, match="is no file: give the path of one"), writing(place):
        pass


def test_a_folder_that_cannot_be_is_said() -> None:
    with pytest.raises(FileAccessError, match="/dev/full/file cannot be used"), writing("/dev/full/file"):
        pass


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_disk_that_is_full_is_said_and_leaves_what_was_there(tmp_path: Path, size: int) -> None:
    """Whether it is full when the file is written, or only when the last bytes of it are."""
    place = tmp_path / "file"
    place.write_bytes(b"old")
    program = f"""
import resource
from jobs.storage.files import FileAccessError, trouble_with, writing
resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
try:
    with writing({str(place)!r}) as file, trouble_with({str(place)!r}):
        file.write(bytes({size}))
except FileAccessError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{place} cannot be used (File too large)\n"
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert place.read_bytes() == b"old"


@pytest.mark.parametrize("place", ["https://example.com/file", "s3://bucket/file"])
def test_only_paths_and_buckets_are_written_to(place: str) -> None:
    with pytest.raises(FileAccessError, match="give a path or gs://"), writing(place):
        pass


@pytest.mark.parametrize("place", ["gs://bucket", "gs://bucket/", "gs:///name"])
def test_a_bucket_alone_is_no_file(place: str) -> None:
    with pytest.raises(FileAccessError, match="write gs://BUCKET/NAME"), reading(place):
        pass


def test_a_name_is_without_a_query() -> None:
    assert name_of("https://example.com/trips/2021-03.parquet?until=2024-05.x") == "2021-03.parquet"
    assert name_of("gs://bucket/trips/2021-03.parquet") == "2021-03.parquet"
    assert name_of("trips/what?.parquet") == "what?.parquet"


def test_names_that_are_patterns_are_names(tmp_path: Path) -> None:
    left = tmp_path / ".a.00000000.part"
    left.touch()
    with writing(str(tmp_path / "[a]")) as file:
        file.write(b"x")
    assert left.exists(), "of another file"


def test_places_below_others(tmp_path: Path) -> None:
    assert join("gs://bucket/a/", "b", "c") == "gs://bucket/a/b/c"
    assert join("/", "b") == "/b"
    assert join(".", "b") == "./b"
    assert exists(str(tmp_path)) is False
    (tmp_path / "b").touch()
    assert exists(join(str(tmp_path), "b"))


@pytest.fixture
def web() -> Iterator[str]:
    """A server that has `/file`, breaks off in `/half`, and answers 500 to anything else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, _ = self.path.partition("?")
            self.send_response(200 if path in {"/file", "/half"} else 500)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"whole" if path == "/file" else b"who")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_web_is_read_as_a_file_that_can_be_searched(web: str) -> None:
    with reading(f"{web}/file") as file:
        assert file.read() == b"whole"
        file.seek(1)
        assert file.read(2) == b"ho"


@pytest.mark.parametrize(("path", "sentence"), [("half", "cannot be reached"), ("other", "answered 500")])
def test_what_the_web_does_not_give_whole_is_an_error(web: str, path: str, sentence: str) -> None:
    with pytest.raises(FileAccessError, match=sentence) as said, reading(f"{web}/{path}?signature=secret"):
        pass
    assert "secret" not in str(said.value)


def test_the_lock_is_the_files_own(tmp_path: Path) -> None:
    with writing(str(tmp_path / "file")):
        (part,) = tmp_path.iterdir()
        with part.open("rb") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.fixture(params=["folder", "bucket"])
def folder_or_bucket(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path)
        return
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("storage"))
    storage_client.cache_clear()
    yield f"gs://{BUCKET}/{uuid.uuid4().hex}"
    storage_client.cache_clear()


def put(place: str, content: bytes = b"x") -> str:
    with writing(place) as file:
        file.write(content)
    return place


def test_a_file_is_moved_once_and_over_another(folder_or_bucket: str) -> None:
    first, second = put(join(folder_or_bucket, "a"), b"1"), put(join(folder_or_bucket, "b", "c"), b"2")
    for _ in range(2):  # the second time it is there already
        move(first, second)
        assert not exists(first)
        with reading(second) as file:
            assert file.read() == b"1"
    with pytest.raises(FileAccessError):
        move(first, join(folder_or_bucket, "nowhere"))


def test_names_in_a_folder_are_of_files_right_in_it(folder_or_bucket: str) -> None:
    for name in ("a", "b", "c/d"):
        put(join(folder_or_bucket, name))
    assert sorted(names_in(folder_or_bucket)) == ["a", "b"]
    assert names_in(join(folder_or_bucket, "none")) == []
    for _ in range(2):
        remove(join(folder_or_bucket, "a"))
        assert names_in(folder_or_bucket) == ["b"]


def test_a_pattern_matches_files_of_one_folder(folder_or_bucket: str) -> None:
    for name in (
        "2021-01.parquet",
        "2021-02.parquet",
        "2021-02.csv",
        "sub/2021-03.parquet",
        "2020-12.parquet",
    ):
        put(join(folder_or_bucket, name))
    found = matching(join(folder_or_bucket, "2021-*.parquet"))
    assert found == [join(folder_or_bucket, f"2021-0{month}.parquet") for month in (1, 2)]
    assert matching(join(folder_or_bucket, "*", "2021-0?.parquet")) == [
        join(folder_or_bucket, "sub", "2021-03.parquet")
    ]
    assert matching("as/it/is.parquet") == ["as/it/is.parquet"]
    with pytest.raises(FileAccessError, match="matches no file"):
        matching(join(folder_or_bucket, "*.none"))


def test_a_pattern_of_buckets_is_refused() -> None:
    with pytest.raises(FileAccessError, match="names no objects"):
        matching("gs://*/a")
