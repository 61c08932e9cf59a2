import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from functions.artifacts import storage_client
from jobs.local.emulators import BUCKET
from jobs.storage.atomic import atomic_write
from jobs.storage.errors import FileAccessError
from jobs.storage.files import basename, exists, glob, join, list_names, move, open_read, remove


@pytest.mark.parametrize("uri", ["gs://bucket", "gs://bucket/", "gs:///name"])
def test_a_bucket_alone_is_not_a_file(uri: str) -> None:
    with pytest.raises(FileAccessError, match="write gs://BUCKET/NAME"), open_read(uri):
        pass


def test_a_basename_has_no_query() -> None:
    assert basename("https://example.com/trips/2021-03.parquet?until=2024-05.x") == "2021-03.parquet"
    assert basename("gs://bucket/trips/2021-03.parquet") == "2021-03.parquet"
    assert basename("trips/what?.parquet") == "what?.parquet"


def test_uris_are_joined(tmp_path: Path) -> None:
    assert join("gs://bucket/a/", "b", "c") == "gs://bucket/a/b/c"
    assert join("/", "b") == "/b"
    assert join(".", "b") == "./b"
    assert exists(str(tmp_path)) is False
    (tmp_path / "b").touch()
    assert exists(join(str(tmp_path), "b"))


@pytest.fixture
def web() -> Iterator[str]:
    """A server that has `/file`, sends half of `/half`, and answers 500 to anything else."""

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


def test_a_web_address_is_read_as_a_seekable_file(web: str) -> None:
    with open_read(f"{web}/file") as file:
        assert file.read() == b"whole"
        file.seek(1)
        assert file.read(2) == b"ho"


@pytest.mark.parametrize(("path", "message"), [("half", "cannot be reached"), ("other", "answered 500")])
def test_a_failed_download_is_an_error_without_the_query(web: str, path: str, message: str) -> None:
    with pytest.raises(FileAccessError, match=message) as caught, open_read(f"{web}/{path}?signature=secret"):
        pass
    assert "secret" not in str(caught.value)


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


def put(uri: str, content: bytes = b"x") -> str:
    with atomic_write(uri) as file:
        file.write(content)
    return uri


def test_a_file_is_moved_once_and_replaces_another(folder_or_bucket: str) -> None:
    first, second = put(join(folder_or_bucket, "a"), b"1"), put(join(folder_or_bucket, "b", "c"), b"2")
    for _ in range(2):  # the second move finds the target in place
        move(first, second)
        assert not exists(first)
        with open_read(second) as file:
            assert file.read() == b"1"
    with pytest.raises(FileAccessError):
        move(first, join(folder_or_bucket, "nowhere"))


def test_list_names_lists_files_directly_in_the_folder(folder_or_bucket: str) -> None:
    for name in ("a", "b", "c/d"):
        put(join(folder_or_bucket, name))
    assert sorted(list_names(folder_or_bucket)) == ["a", "b"]
    assert list_names(join(folder_or_bucket, "none")) == []
    for _ in range(2):
        remove(join(folder_or_bucket, "a"))
        assert list_names(folder_or_bucket) == ["b"]


def test_a_pattern_matches_files_of_one_folder(folder_or_bucket: str) -> None:
    for name in (
        "2021-01.parquet",
        "2021-02.parquet",
        "2021-02.csv",
        "sub/2021-03.parquet",
        "2020-12.parquet",
    ):
        put(join(folder_or_bucket, name))
    found = glob(join(folder_or_bucket, "2021-*.parquet"))
    assert found == [join(folder_or_bucket, f"2021-0{month}.parquet") for month in (1, 2)]
    assert glob(join(folder_or_bucket, "*", "2021-0?.parquet")) == [
        join(folder_or_bucket, "sub", "2021-03.parquet")
    ]
    assert glob("as/it/is.parquet") == ["as/it/is.parquet"]
    with pytest.raises(FileAccessError, match="matches no file"):
        glob(join(folder_or_bucket, "*.none"))


def test_a_pattern_of_buckets_is_refused() -> None:
    with pytest.raises(FileAccessError, match="names no objects"):
        glob("gs://*/a")
