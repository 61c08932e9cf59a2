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


def released(folder: Path, name: str) -> ReleasedFile:
    content = (folder / name).read_bytes()
    return ReleasedFile(name, len(content), hashlib.sha256(content).hexdigest())


def test_a_released_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    assert ModelFolder(release(tmp_path, released(tmp_path, "model.onnx"))).read("model.onnx") == b"graph"


@pytest.mark.parametrize("content", [b"grapH", b"grap", b"graph and more", b""])
def test_a_file_that_differs_from_the_release_is_rejected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    folder = ModelFolder(release(tmp_path, released(tmp_path, "model.onnx")))
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ModelUnavailable, match=r"not the file that was released|larger"):
        folder.read("model.onnx")


def test_a_file_that_is_not_part_of_the_release_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    with pytest.raises(ModelUnavailable, match="not part of the release"):
        ModelFolder(release(tmp_path, released(tmp_path, "a"))).read("b")


@pytest.mark.parametrize("path", ["../secret", "a/../../secret", "/etc/passwd"])
def test_a_path_outside_the_folder_is_rejected(tmp_path: Path, path: str) -> None:
    with pytest.raises(ModelUnavailable, match="is outside"):
        read_file(str(tmp_path), path, 100)


def test_the_size_limit_is_enforced(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_file(f"file://{tmp_path}", "a", 5) == b"12345"
    with pytest.raises(ModelUnavailable, match="larger than"):
        read_file(str(tmp_path), "a", 4)


def test_a_missing_file_and_an_unsupported_scheme_are_reported(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="No such file"):
        read_file(str(tmp_path), "a", 1)
    with pytest.raises(ModelUnavailable, match="--default-artifact-root gs://"):
        read_file("s3://bucket/models", "MLmodel", 1)


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "my models 100%"
    folder.mkdir()
    (folder / "a").write_bytes(b"1")
    assert read_file(str(folder), "a", 1) == read_file(folder.as_uri(), "a", 1) == b"1"


@pytest.mark.parametrize("path", ["", ".", "a\\b", "a\0", "a\nb", "%2e%2e/a", "a%2fb", "\ud800"])
def test_an_ambiguous_path_is_rejected(tmp_path: Path, path: str) -> None:
    with pytest.raises(ModelUnavailable, match=r"is outside|must not contain|percent-encoded|cannot be read"):
        read_file(str(tmp_path), path, 100)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("", "not a supported location"),
        ("http://example.com/m", "not a supported location"),
        ("https://storage.googleapis.com/bucket/m", "not a supported location"),
        ("ftp://example.com/m", "not a supported location"),
        ("data:,m", "not a supported location"),
        ("GS://bucket/m", "not a supported location"),
        ("FILE:///m", "not a supported location"),
        ("file://host/m", "not a local absolute path"),
        ("file:m", "not a local absolute path"),
        ("file:///m/%2e%2e/n", "must not contain"),
        ("file:///m%00", "must not contain"),
        ("/m/../n", "must not contain"),
        ("m\\n", "must not contain"),
        ("/m\0", "must not contain"),
        ("g\ns://bucket/m", "must not contain"),
        ("gs://", "no valid bucket name"),
        ("gs:///m", "no valid bucket name"),
        ("gs://../m", "no valid bucket name"),
        ("gs://user@bucket/m", "no valid bucket name"),
        ("gs://Bucket/m", "no valid bucket name"),
        ("gs://bucket?x=/m", "no valid bucket name"),
        ("gs://buck%65t/m", "no valid bucket name"),
        ("gs://bucket/m/../n", "must not contain"),
        ("gs://bucket/m\\n", "must not contain"),
        ("gs://bucket/m\0", "must not contain"),
        ("gs://bucket/%2e%2e/n", "percent-encoded"),
    ],
)
def test_an_unsupported_or_ambiguous_location_is_rejected(location: str, expected: str) -> None:
    with pytest.raises(ModelUnavailable, match=expected):
        read_file(location, "MLmodel", 1)


def test_a_folder_may_be_a_link_but_links_in_it_must_stay_inside(tmp_path: Path) -> None:
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


def test_a_device_is_not_read_without_end() -> None:
    assert len(read_file("/dev", "zero", 1 << 30)) <= 1


@pytest.mark.parametrize("size", [-2, 1 << 62])
def test_a_release_cannot_raise_the_size_limit(tmp_path: Path, size: int) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    with pytest.raises(ModelUnavailable, match="larger than the limit"):
        ModelFolder(release(tmp_path, ReleasedFile("a", size, "00" * 32))).read("a", 4)


def test_prefetched_files_are_verified_like_all_others(tmp_path: Path) -> None:
    for name in ("good", "changed", "large", "missing", "later"):
        (tmp_path / name).write_bytes(b"12345")
    names = ("good", "changed", "large", "missing", "later")
    folder = ModelFolder(release(tmp_path, *(released(tmp_path, name) for name in names)))
    (tmp_path / "changed").write_bytes(b"54321")
    (tmp_path / "missing").unlink()
    with folder.prefetch({"good": 5, "changed": 5, "large": 5, "missing": 5, "not in the release": 5}):
        assert folder.read("good", 5) == folder.read("later", 5) == b"12345"
        for name, expected in (("changed", "not the file"), ("large", "larger than"), ("missing", "No such")):
            with pytest.raises(ModelUnavailable, match=expected):
                folder.read(name, 4 if name == "large" else 5)
    assert folder.read("good") == b"12345", "a prefetched file is only used once"


class QuietHandler(BaseHTTPRequestHandler):
    """A request handler that logs nothing."""

    def respond(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def storage_at(port: int) -> Iterator[None]:
    """Directs Cloud Storage clients to a local port."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        # Google's client leaves the sockets of failed attempts to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        storage_client.cache_clear()
        yield
        storage_client().close()
        storage_client.cache_clear()
        gc.collect()


@contextmanager
def storage(handler: type[QuietHandler]) -> Iterator[None]:
    """Runs a Cloud Storage server that responds with `handler`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            with storage_at(server.server_port):
                yield
        finally:
            server.shutdown()


def test_files_are_fetched_concurrently() -> None:
    all_requested = threading.Barrier(3)

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            all_requested.wait(10)
            self.respond(200, b"graph")

    digest = hashlib.sha256(b"graph").hexdigest()
    files = [ReleasedFile(name, 5, digest) for name in ("MLmodel", "input_example.json", "model.onnx")]
    with storage(Handler):
        folder = ModelFolder(Release(name="m", version="1", location="gs://bucket/m", files=tuple(files)))
        with folder.prefetch({file.path: 5 for file in files}):
            assert [folder.read(file.path) for file in files] == [b"graph"] * 3


def test_only_the_file_itself_is_requested() -> None:
    requests = []

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.respond(200, b"graph")

    with storage(Handler):
        for name in ("a", "b"):
            read_file("gs://bucket/m", name, 5)
    assert requests == [f"/download/storage/v1/b/bucket/o/m%2F{name}?alt=media" for name in ("a", "b")]


@pytest.mark.alone
def test_reading_from_an_unresponsive_store_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.artifacts.ATTEMPT_SECONDS", 0.3)
    monkeypatch.setattr("functions.artifacts.TOTAL_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server, storage_at(server.getsockname()[1]):
        began = time.monotonic()
        with pytest.raises(ModelUnavailable, match="cannot be read"):
            read_file("gs://bucket/m", "model.onnx", 5)
        assert time.monotonic() - began < 3


@pytest.mark.alone
def test_a_recovered_store_is_read_within_a_second() -> None:
    recovery = time.monotonic() + 4
    requests = []

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            requests.append(time.monotonic())
            self.respond(200 if requests[-1] > recovery else 503, b"graph")

    with storage(Handler):
        assert read_file("gs://bucket/m", "model.onnx", 5) == b"graph"
    # A pause of one second at most, and two for a busy machine; without the cap a pause would be longer.
    assert time.monotonic() < recovery + 3
    assert 4 < len(requests) < 50, "there are pauses between the attempts"
