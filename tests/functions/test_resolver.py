import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from functions.artifacts import storage_client
from functions.errors import ModelUnavailable
from functions.releases import Release, ReleasedFile, encode_release
from functions.resolver import resolve

RELEASE = Release(
    name="ride-duration",
    version="7",
    run_id="ab12",
    location="gs://models/1/models/m-1/artifacts",
    files=(ReleasedFile("model.onnx", 5, "00" * 32),),
)


def test_a_release_pointer_is_a_release(tmp_path: Path) -> None:
    pointer = tmp_path / "champion.json"
    pointer.write_bytes(encode_release(RELEASE))
    assert resolve(str(pointer)) == RELEASE


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"name": 1}',
        encode_release(RELEASE)[:-40],
        encode_release(RELEASE).replace(b'"size": 5', b'"size": -5'),
        b'{"x": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_pointer_is_refused(tmp_path: Path, content: bytes) -> None:
    pointer = tmp_path / "champion.json"
    pointer.write_bytes(content)
    with pytest.raises(ModelUnavailable, match="is not a release pointer"):
        resolve(str(pointer))


def test_a_folder_is_a_release_without_a_number(tmp_path: Path) -> None:
    assert resolve(f"{tmp_path}/model/") == Release(name="model", version="", location=f"{tmp_path}/model")


@pytest.mark.parametrize("uri", ["models:/", "models:/m", "models:/m@", "models:/m/latest", "models:/m@a/b"])
def test_a_registry_address_has_a_form(uri: str) -> None:
    with pytest.raises(ModelUnavailable, match="must look like"):
        resolve(uri, "http://127.0.0.1:1")


def test_the_registry_is_asked_by_http_only() -> None:
    with pytest.raises(ModelUnavailable, match="must be http"):
        resolve("models:/m@champion", "sqlite:///mlflow.db")


def test_a_registry_that_is_down_is_named() -> None:
    with pytest.raises(ModelUnavailable, match="gave no answer"):
        resolve("models:/m@champion", "http://127.0.0.1:1")


def test_a_pointer_that_lists_no_files_is_refused(tmp_path: Path) -> None:
    pointer = tmp_path / "champion.json"
    for nothing in ('"files": [],', ""):
        pointer.write_text(f'{{"name": "m", {nothing} "version": "1", "location": "gs://models/m"}}')
        with pytest.raises(ModelUnavailable, match="lists no files, so nothing it names can be verified"):
            resolve(str(pointer))


def test_a_pointer_may_lie_in_the_folder_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "champion.json").write_bytes(encode_release(RELEASE))
    monkeypatch.chdir(tmp_path)
    assert resolve("champion.json") == RELEASE


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Address of a server that takes one request a connection and leaves the rest to `answer`."""

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:  # closed
                return
            with connection:
                connection.recv(10_000)
                try:
                    answer(connection)
                except OSError:  # the other side has had enough
                    continue

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def http(content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)


PLACES = ("gs://models/", "gs://more/")


@pytest.mark.parametrize(
    "uri",
    [
        "gs://other/champion.json",
        "gs://other/m",
        "gs://models2/m",
        "GS://models/m",
        "/models/m",
        "champion.json",
    ],
)
def test_a_model_elsewhere_is_not_asked_for(uri: str) -> None:
    with pytest.raises(
        ModelUnavailable, match=r"not in gs://models/ or gs://more/.*add its bucket to MODEL_BUCKETS"
    ):
        resolve(uri, places=PLACES)


@pytest.mark.parametrize("location", ["gs://other/m", "gs://models.evil/m", "/models/m", "file:///models/m"])
def test_a_pointer_or_registry_that_names_another_bucket_is_not_followed(
    location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(place: str) -> Callable[[socket.socket], None]:
        pointer = encode_release(msgspec.structs.replace(RELEASE, location=place))
        version = {"version": "7", "run_id": "ab12"}
        found = {"model_version": version, "artifact_uri": place, **json.loads(pointer)}
        return lambda connection: connection.sendall(http(json.dumps(found).encode()))

    for place in (RELEASE.location, location):
        with serving(answers(place)) as address:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
            storage_client.cache_clear()
            for uri in ("gs://more/champion.json", "models:/ride-duration@champion"):
                if place == RELEASE.location:
                    assert resolve(uri, address, places=PLACES).location == place
                    continue
                assert resolve(uri, address).location == place
                with pytest.raises(ModelUnavailable, match=f"'{place}' is not in gs://models/"):
                    resolve(uri, address, places=PLACES)
            storage_client().close()
            storage_client.cache_clear()


def drip(whole: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        for byte in whole:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        drip(http(b" " * 1000)),
        drip(b"HTTP/1.1 404 Not Found\r\nX-Slow: " + b"x" * 1000),
        lambda connection: (connection.sendall(b"HTTP/1.1 404 No\r\n\r\n"), drip(b"x" * 1000)(connection)),
        lambda connection: (connection.sendall(http(b"x" * 1000)[:-999]), drip(b" " * 999)(connection)),
        lambda connection: connection.recv(1),
    ],
    ids=["status line", "headers", "error", "body", "silence"],
)
def test_a_registry_that_drips_is_left(
    answer: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.resolver.ANSWER_SECONDS", 1)
    began = time.monotonic()
    with serving(answer) as address:
        with pytest.raises(ModelUnavailable, match=r"gave no answer in 1 s|answered 404"):
            resolve("models:/m@champion", address)
        assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "content", [b"", b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", http(b"[" * 100_000)]
)
def test_a_registry_that_talks_nonsense_is_told(content: bytes) -> None:
    with (
        serving(lambda connection: connection.sendall(content)) as address,
        pytest.raises(ModelUnavailable, match=r"gave no answer|did not answer like"),
    ):
        resolve("models:/m@champion", address)
