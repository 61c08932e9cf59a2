import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from functions.artifacts import storage_client
from functions.errors import ModelUnavailable
from functions.mlflow_client import TrackingServer
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
def test_an_invalid_pointer_is_rejected(tmp_path: Path, content: bytes) -> None:
    pointer = tmp_path / "champion.json"
    pointer.write_bytes(content)
    with pytest.raises(ModelUnavailable, match="is not a release pointer"):
        resolve(str(pointer))


def test_a_folder_is_a_release_without_a_version(tmp_path: Path) -> None:
    assert resolve(f"{tmp_path}/model/") == Release(name="model", version="", location=f"{tmp_path}/model")


def test_a_malformed_registry_uri_is_rejected() -> None:
    with pytest.raises(ModelUnavailable, match="must look like"):
        resolve("models:/m", TrackingServer("http://127.0.0.1:1"))


def test_the_registry_must_be_http() -> None:
    with pytest.raises(ModelUnavailable, match="must be http"):
        resolve("models:/m@champion", TrackingServer("sqlite:///mlflow.db"))
    with pytest.raises(ModelUnavailable, match="set MLFLOW_TRACKING_URI=http"):
        resolve("models:/m@champion")


def test_an_unreachable_registry_is_reported() -> None:
    with pytest.raises(ModelUnavailable, match="gave no valid response"):
        resolve("models:/m@champion", TrackingServer("http://127.0.0.1:1"))


def responses(found: dict[str, Any]) -> Callable[[socket.socket, bytes], None]:
    """An MLflow server that responds by path without query; anything else is not found."""

    def respond(connection: socket.socket, request: bytes) -> None:
        path = request.split(b" ")[1].decode().partition("?")[0].removeprefix("/api/2.0/mlflow/")
        if path in found:
            connection.sendall(http(json.dumps(found[path]).encode()))
        else:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    return respond


def test_the_latest_version_is_the_highest_number_of_any_stage() -> None:
    versions = [{"version": "9", "run_id": "a"}, {"version": "10", "run_id": "b"}]
    found = {
        "registered-models/get": {"registered_model": {"name": "m", "latest_versions": versions}},
        "model-versions/get-download-uri": {"artifact_uri": "gs://models/10/"},
    }
    with serving(responses(found)) as url:
        assert resolve("models:/m/latest", TrackingServer(url)) == Release(
            name="m", version="10", run_id="b", location="gs://models/10"
        )
    found["registered-models/get"] = {"registered_model": {"name": "m"}}
    with serving(responses(found)) as url, pytest.raises(ModelUnavailable, match="m has no version at http"):
        resolve("models:/m/latest", TrackingServer(url))


def test_a_run_of_mlflow_2_has_its_model_in_a_folder() -> None:
    run = {
        "run": {
            "info": {"run_id": "ab12", "experiment_id": "1", "artifact_uri": "gs://models/1/ab12/artifacts"}
        }
    }
    with serving(responses({"runs/get": run})) as url:
        assert resolve("runs:/ab12/my/model", TrackingServer(url)) == Release(
            name="model", version="", run_id="ab12", location="gs://models/1/ab12/artifacts/my/model"
        )


def test_a_version_that_was_registered_from_a_run_is_found_there() -> None:
    found = {
        "model-versions/get": {"model_version": {"version": "7", "run_id": "ab12"}},
        "model-versions/get-download-uri": {"artifact_uri": "runs:/ab12/model"},
        "runs/get": {"run": {"info": {"experiment_id": "1", "artifact_uri": "gs://models/1/ab12/artifacts"}}},
    }
    with serving(responses(found)) as url:
        release = resolve("models:/m/7", TrackingServer(url))
    assert (release.version, release.location) == ("7", "gs://models/1/ab12/artifacts/model")


def test_a_pointer_without_files_is_rejected(tmp_path: Path) -> None:
    pointer = tmp_path / "champion.json"
    for nothing in ('"files": [],', ""):
        pointer.write_text(f'{{"name": "m", {nothing} "version": "1", "location": "gs://models/m"}}')
        with pytest.raises(ModelUnavailable, match="lists no files, so the model cannot be verified"):
            resolve(str(pointer))


def test_a_pointer_may_be_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "champion.json").write_bytes(encode_release(RELEASE))
    monkeypatch.chdir(tmp_path)
    assert resolve("champion.json") == RELEASE


@contextmanager
def serving(respond: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """URL of a server that accepts one connection at a time and responds with `respond`."""

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:  # closed
                return
            with connection:
                request = connection.recv(10_000)
                try:
                    respond(connection, request)
                except OSError:  # the client disconnected
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


ALLOWED_PREFIXES = ("gs://models/", "gs://more/")


@pytest.mark.parametrize(
    "uri",
    [
        "gs://other/champion.json",
        "gs://other/m",
        "gs://models2/m",
        "GS://models/m",
        "/models/m",
        "champion.json",
        "mlflow-artifacts:/1/models/m",
    ],
)
def test_a_model_outside_the_allowed_buckets_is_rejected(uri: str) -> None:
    remedy = "add its bucket to" if uri.startswith("gs://") else "copy the model to one of them, or unset"
    with pytest.raises(ModelUnavailable, match=rf"not in gs://models/ or gs://more/.*{remedy} MODEL_BUCKETS"):
        resolve(uri, allowed_prefixes=ALLOWED_PREFIXES)


@pytest.mark.parametrize(
    "location",
    ["gs://other/m", "gs://models.evil/m", "/models/m", "file:///models/m", "mlflow-artifacts:/1/m"],
)
def test_locations_in_pointers_and_registries_must_be_allowed(
    location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def registry_and_bucket(uri: str) -> Callable[[socket.socket, bytes], None]:
        pointer = encode_release(msgspec.structs.replace(RELEASE, location=uri))
        version = {"version": "7", "run_id": "ab12"}
        found = {"model_version": version, "artifact_uri": uri, **json.loads(pointer)}
        return lambda connection, _: connection.sendall(http(json.dumps(found).encode()))

    for artifact_uri in (RELEASE.location, location):
        with serving(registry_and_bucket(artifact_uri)) as url:
            server = TrackingServer(url)
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
            storage_client.cache_clear()
            for uri in ("gs://more/champion.json", "models:/ride-duration@champion"):
                if artifact_uri == RELEASE.location:
                    assert resolve(uri, server, ALLOWED_PREFIXES).location == artifact_uri
                    continue
                assert resolve(uri, server).location == artifact_uri
                with pytest.raises(ModelUnavailable, match=f"'{artifact_uri}' is not in gs://models/"):
                    resolve(uri, server, ALLOWED_PREFIXES)
            storage_client().close()
            storage_client.cache_clear()


def trickle(response: bytes) -> Callable[[socket.socket, bytes], None]:
    def respond(connection: socket.socket, _: bytes) -> None:
        for byte in response:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)

    return respond


@pytest.mark.alone
@pytest.mark.parametrize(
    "respond",
    [
        trickle(http(b" " * 1000)),
        trickle(b"HTTP/1.1 404 Not Found\r\nX-Slow: " + b"x" * 1000),
        lambda connection, _: (
            connection.sendall(b"HTTP/1.1 404 No\r\n\r\n"),
            trickle(b"x" * 1000)(connection, _),
        ),
        lambda connection, _: (
            connection.sendall(http(b"x" * 1000)[:-999]),
            trickle(b" " * 999)(connection, _),
        ),
        lambda connection, _: connection.recv(1),
    ],
    ids=["status line", "headers", "error", "body", "silence"],
)
def test_a_trickling_registry_times_out(
    respond: Callable[[socket.socket, bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.mlflow_client.TIMEOUT_SECONDS", 1)
    began = time.monotonic()
    with serving(respond) as url:
        with pytest.raises(ModelUnavailable, match=r"gave no valid response within 1 s|responded with 404"):
            resolve("models:/m@champion", TrackingServer(url))
        assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "content", [b"", b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", http(b"[" * 100_000)]
)
def test_an_invalid_response_of_the_registry_is_reported(content: bytes) -> None:
    with (
        serving(lambda connection, _: connection.sendall(content)) as url,
        pytest.raises(ModelUnavailable, match=r"gave no valid response|did not respond like"),
    ):
        resolve("models:/m@champion", TrackingServer(url))
