import gc
import hashlib
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from functions.artifacts import ModelFolder, read_file, storage_client
from functions.errors import ModelUnavailable
from functions.releases import Release, ReleasedFile


def release(folder: Path, *files: ReleasedFile) -> Release:
    return Release(name="m", version="1", location=str(folder), files=files)


def stock(folder: Path, name: str) -> ReleasedFile:
    content = (folder / name).read_bytes()
    return ReleasedFile(name, len(content), hashlib.sha256(content).hexdigest())


def test_a_released_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    assert ModelFolder(release(tmp_path, stock(tmp_path, "model.onnx"))).read("model.onnx") == b"graph"


@pytest.mark.parametrize("content", [b"grapH", b"grap", b"graph and more", b""])
def test_a_file_that_differs_from_the_release_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    folder = ModelFolder(release(tmp_path, stock(tmp_path, "model.onnx")))
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ModelUnavailable, match=r"not the file that was released|larger"):
        folder.read("model.onnx")


def test_a_file_that_was_not_released_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    with pytest.raises(ModelUnavailable, match="not part of the release"):
        ModelFolder(release(tmp_path, stock(tmp_path, "a"))).read("b")


@pytest.mark.parametrize("path", ["../secret", "a/../../secret", "/etc/passwd"])
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(ModelUnavailable, match="leads out of"):
        read_file(str(tmp_path), path, 100)


def test_a_file_has_a_largest_size(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_file(f"file://{tmp_path}", "a", 5) == b"12345"
    with pytest.raises(ModelUnavailable, match="larger than"):
        read_file(str(tmp_path), "a", 4)


def test_a_missing_file_and_a_foreign_scheme_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="No such file"):
        read_file(str(tmp_path), "a", 1)
    with pytest.raises(ModelUnavailable, match="--default-artifact-root gs://"):
        read_file("mlflow-artifacts:/1/models", "MLmodel", 1)
    with pytest.raises(ModelUnavailable, match="not in reach"):
        read_file("s3://bucket/models", "MLmodel", 1)


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "my models 100%"
    folder.mkdir()
    (folder / "a").write_bytes(b"1")
    assert read_file(str(folder), "a", 1) == read_file(folder.as_uri(), "a", 1) == b"1"


@pytest.mark.parametrize("path", ["", ".", "a\\b", "a\0", "a\nb", "%2e%2e/a", "a%2fb", "\ud800"])
def test_a_path_is_plain(tmp_path: Path, path: str) -> None:
    with pytest.raises(
        ModelUnavailable, match=r"leads out of|must be written|percent-encoded|cannot be read"
    ):
        read_file(str(tmp_path), path, 100)


@pytest.mark.parametrize(
    ("location", "sentence"),
    [
        ("", "not in reach"),
        ("http://example.com/m", "not in reach"),
        ("https://storage.googleapis.com/bucket/m", "not in reach"),
        ("ftp://example.com/m", "not in reach"),
        ("data:,m", "not in reach"),
        ("GS://bucket/m", "not in reach"),
        ("FILE:///m", "not in reach"),
        ("file://host/m", "not this machine's"),
        ("file:m", "not this machine's"),
        ("file:///m/%2e%2e/n", "must be written without"),
        ("file:///m%00", "must be written without"),
        ("/m/../n", "must be written without"),
        ("m\\n", "must be written without"),
        ("/m\0", "must be written without"),
        ("g\ns://bucket/m", "must be written without"),
        ("gs://", "names no bucket"),
        ("gs:///m", "names no bucket"),
        ("gs://../m", "names no bucket"),
        ("gs://user@bucket/m", "names no bucket"),
        ("gs://Bucket/m", "names no bucket"),
        ("gs://bucket?x=/m", "names no bucket"),
        ("gs://buck%65t/m", "names no bucket"),
        ("gs://bucket/m/../n", "must be written without"),
        ("gs://bucket/m\\n", "must be written without"),
        ("gs://bucket/m\0", "must be written without"),
        ("gs://bucket/%2e%2e/n", "percent-encoded"),
    ],
)
def test_an_address_can_be_read_in_one_way_only(location: str, sentence: str) -> None:
    with pytest.raises(ModelUnavailable, match=sentence):
        read_file(location, "MLmodel", 1)


def test_a_folder_may_be_a_link_but_none_in_it_leads_out(tmp_path: Path) -> None:
    folder, link = tmp_path / "folder", tmp_path / "link"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"s")
    (folder / "a").write_bytes(b"1")
    (folder / "inside").symlink_to("a")
    (folder / "outside").symlink_to("../secret")
    (folder / "circle").symlink_to("circle")
    link.symlink_to(folder)
    assert read_file(str(link), "inside", 1) == b"1"
    with pytest.raises(ModelUnavailable, match="is a link to"):
        read_file(str(link), "outside", 1)
    with pytest.raises(ModelUnavailable, match="cannot be read"):
        read_file(str(link), "circle", 1)


def test_a_device_is_no_file() -> None:
    assert len(read_file("/dev", "zero", 1 << 30)) <= 1


@pytest.mark.parametrize("size", [-2, 1 << 62])
def test_a_release_cannot_say_that_a_file_is_endless(tmp_path: Path, size: int) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    with pytest.raises(ModelUnavailable, match="larger than the"):
        ModelFolder(release(tmp_path, ReleasedFile("a", size, "00" * 32))).read("a", 4)


def test_what_is_fetched_meanwhile_is_checked_like_all_that_is_read(tmp_path: Path) -> None:
    for name in ("good", "changed", "large", "missing", "later"):
        (tmp_path / name).write_bytes(b"12345")
    names = ("good", "changed", "large", "missing", "later")
    folder = ModelFolder(release(tmp_path, *(stock(tmp_path, name) for name in names)))
    (tmp_path / "changed").write_bytes(b"54321")
    (tmp_path / "missing").unlink()
    with folder.fetching({"good": 5, "changed": 5, "large": 5, "missing": 5, "of another release": 5}):
        assert folder.read("good", 5) == folder.read("later", 5) == b"12345"
        for name, sentence in (("changed", "not the file"), ("large", "larger than"), ("missing", "No such")):
            with pytest.raises(ModelUnavailable, match=sentence):
                folder.read(name, 4 if name == "large" else 5)
    assert folder.read("good") == b"12345", "what was fetched is given once"


class Silent(BaseHTTPRequestHandler):
    """Answers without a word on stderr."""

    def answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def store_at(port: int) -> Iterator[None]:
    """Cloud Storage is at a port of this machine."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        # Google's client leaves the sockets of tries that failed to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        storage_client.cache_clear()
        yield
        storage_client().close()
        storage_client.cache_clear()
        gc.collect()


@contextmanager
def store(handler: type[Silent]) -> Iterator[None]:
    """Cloud Storage answers like `handler`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            with store_at(server.server_port):
                yield
        finally:
            server.shutdown()


def test_files_are_fetched_at_the_same_time() -> None:
    all_asked = threading.Barrier(3)

    class Handler(Silent):
        def do_GET(self) -> None:
            all_asked.wait(10)
            self.answer(200, b"graph")

    digest = hashlib.sha256(b"graph").hexdigest()
    files = [ReleasedFile(name, 5, digest) for name in ("MLmodel", "input_example.json", "model.onnx")]
    with store(Handler):
        folder = ModelFolder(Release(name="m", version="1", location="gs://bucket/m", files=tuple(files)))
        with folder.fetching({file.path: 5 for file in files}):
            assert [folder.read(file.path) for file in files] == [b"graph"] * 3


def test_nothing_but_the_file_is_asked_for() -> None:
    asked = []

    class Handler(Silent):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.answer(200, b"graph")

    with store(Handler):
        for name in ("a", "b"):
            read_file("gs://bucket/m", name, 5)
    assert asked == [f"/download/storage/v1/b/bucket/o/m%2F{name}?alt=media" for name in ("a", "b")]


def test_a_store_that_is_silent_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.artifacts.TRY_SECONDS", 0.3)
    monkeypatch.setattr("functions.artifacts.BUDGET_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server, store_at(server.getsockname()[1]):
        began = time.monotonic()
        with pytest.raises(ModelUnavailable, match="cannot be read"):
            read_file("gs://bucket/m", "model.onnx", 5)
        assert time.monotonic() - began < 3


def test_a_store_that_comes_back_is_read_within_a_second() -> None:
    back = time.monotonic() + 4
    asked = []

    class Handler(Silent):
        def do_GET(self) -> None:
            asked.append(time.monotonic())
            self.answer(200 if asked[-1] > back else 503, b"graph")

    with store(Handler):
        assert read_file("gs://bucket/m", "model.onnx", 5) == b"graph"
    assert time.monotonic() < back + 2
    assert 4 < len(asked) < 50, "it is not asked without a pause either"
