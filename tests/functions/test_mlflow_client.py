"""Requests to MLflow servers, against servers that answer as no good one does."""

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from functions import mlflow_client
from functions.artifacts import read_file
from functions.errors import ModelUnavailable, SettingsError
from functions.mlflow_client import (
    ServerError,
    TrackingServer,
    call,
    is_artifact_uri,
    list_artifacts,
    redact_user_info,
)

SECRET = "s3cr3t"
BASIC = base64.b64encode(f"alice:{SECRET}".encode()).decode()
ROUTE = "/api/2.0/mlflow-artifacts/artifacts"


def read(**environ: str) -> TrackingServer:
    return TrackingServer.read({name: value for name, value in environ.items() if value})


@pytest.mark.parametrize(
    ("address", "plain", "user", "password"),
    [
        ("http://localhost:5000", "http://localhost:5000", "", ""),
        (" https://mlflow.example.com/ ", "https://mlflow.example.com", "", ""),
        ("https://dagshub.com/alice/rides.mlflow", "https://dagshub.com/alice/rides.mlflow", "", ""),
        ("https://alice:s3cr3t@host:8443/a/b//", "https://host:8443/a/b", "alice", "s3cr3t"),
        ("http://al%40x:p%3Aa%2Fb%25%40@host", "http://host", "al@x", "p:a/b%@"),
        ("http://alice:p@ss@host", "http://host", "alice", "p@ss"),
        ("http://[::1]:5000", "http://[::1]:5000", "", ""),
        ("sqlite:////data/m.db", "sqlite:////data/m.db", "", ""),
        ("", "", "", ""),
    ],
)
def test_an_address_is_taken_apart(address: str, plain: str, user: str, password: str) -> None:
    server = read(MLFLOW_TRACKING_URI=address)
    assert (server.address, server.username, server.password) == (plain, user, password)
    assert not password or password not in repr(server)


def test_credentials_come_from_the_address_then_the_user_name_then_the_token() -> None:
    variables = {"MLFLOW_TRACKING_USERNAME": "alice", "MLFLOW_TRACKING_PASSWORD": SECRET + "\n"}
    token = {"MLFLOW_TRACKING_TOKEN": " tok3n\n"}
    assert read(MLFLOW_TRACKING_URI="http://h", **token).authorization == "Bearer tok3n"
    assert read(MLFLOW_TRACKING_URI="http://h", **token, **variables).authorization == f"Basic {BASIC}"
    inside = read(MLFLOW_TRACKING_URI="http://bob:other@h", **token, **variables)
    assert base64.b64decode(inside.authorization.removeprefix("Basic ")) == b"bob:other"
    half = read(MLFLOW_TRACKING_URI="http://bob@h", MLFLOW_TRACKING_PASSWORD=SECRET)
    assert (half.username, half.password) == ("bob", SECRET)
    assert read(MLFLOW_TRACKING_URI="http://h").authorization == ""


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        (
            {"MLFLOW_TRACKING_URI": "localhost:5000"},
            r"no http:// or https:// in front: write it like .*http://",
        ),
        ({"MLFLOW_TRACKING_URI": f"alice:{SECRET}@host:5000/x"}, r"'\*\*\*@host:5000/x' has no http://"),
        ({"MLFLOW_TRACKING_URI": "http:/localhost:5000"}, "not a valid address"),
        ({"MLFLOW_TRACKING_URI": "http://"}, "not a valid address"),
        ({"MLFLOW_TRACKING_URI": "http://host:port"}, "not a valid address"),
        ({"MLFLOW_TRACKING_URI": "http://a host"}, "not a valid address"),
        ({"MLFLOW_TRACKING_URI": f"http://alice:{SECRET}/x@host"}, "not a valid address.*percent-encoded"),
        ({"MLFLOW_TRACKING_URI": f"http://alice:12/{SECRET}@host"}, "not a valid address.*percent-encoded"),
        ({"MLFLOW_TRACKING_URI": f"http://alice:{SECRET}#@host"}, "not a valid address.*percent-encoded"),
        ({"MLFLOW_TRACKING_URI": "http://host:5000/#/experiments/1"}, r"must end before the \? or #"),
        ({"MLFLOW_TRACKING_URI": "databricks"}, "Databricks' tracking and registry are not supported"),
        ({"MLFLOW_TRACKING_URI": "databricks-uc://p"}, "Databricks' tracking and registry are not supported"),
        ({"MLFLOW_TRACKING_URI": "http://alice@host"}, "MLFLOW_TRACKING_PASSWORD is not set"),
        (
            {"MLFLOW_TRACKING_URI": "http://host", "MLFLOW_TRACKING_USERNAME": "alice"},
            "MLFLOW_TRACKING_USERNAME is set, but MLFLOW_TRACKING_PASSWORD is not set",
        ),
        (
            {"MLFLOW_TRACKING_URI": "http://host", "MLFLOW_TRACKING_PASSWORD": SECRET},
            "MLFLOW_TRACKING_PASSWORD is set, but MLFLOW_TRACKING_USERNAME is not set",
        ),
        ({"MLFLOW_TRACKING_URI": "http://host", "MLFLOW_TRACKING_TOKEN": f"{SECRET} x"}, "contains a space"),
    ],
)
def test_unusable_addresses_and_credentials_are_named_without_the_secret(
    environ: dict[str, str], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        TrackingServer.read(environ)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://alice:p@ss/w@host/x", "https://***@host/x"),
        ("postgresql+psycopg2://u:p@host/db?password=x", "postgresql+psycopg2://***@host/db?***"),
        ("alice:pw@host:5000", "***@host:5000"),
        ("http://host:5000/x", "http://host:5000/x"),
        ("sqlite:////data/a@b/m.db", "sqlite:////data/a@b/m.db"),
        ("./ml@runs", "./ml@runs"),
    ],
)
def test_user_info_is_masked(address: str, shown: str) -> None:
    assert redact_user_info(address) == shown


class Handler(BaseHTTPRequestHandler):
    """Responds as `answer` says and notes each request's path and Authorization header."""

    answer: Callable[["Handler"], None]
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        type(self).answer(self)

    def respond(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(
    answer: Callable[[Handler], None],
) -> Iterator[tuple[TrackingServer, list[tuple[str, str | None]]]]:
    """A server as user `alice` knows it, and the requests that reach it."""
    seen: list[tuple[str, str | None]] = []
    handler = type("One", (Handler,), {"answer": answer, "seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield TrackingServer(f"http://127.0.0.1:{server.server_port}/ml", "alice", SECRET), seen
        finally:
            server.shutdown()


def test_a_served_file_is_read_below_the_address_with_its_credentials() -> None:
    with serving(lambda request: request.respond(b"graph")) as (server, seen):
        port = server.address.removesuffix("/ml").rpartition(":")[2]
        for location in (
            "mlflow-artifacts:/1/my models/ä?#",
            f"mlflow-artifacts://127.0.0.1:{port}/1/my models/ä?#",
            f"http://127.0.0.1:{port}/ml{ROUTE}/1/my models/ä?#",
        ):
            assert is_artifact_uri(location)
            assert read_file(location, "model.onnx", 5, server) == b"graph"
    assert seen == [(f"/ml{ROUTE}/1/my%20models/%C3%A4%3F%23/model.onnx", f"Basic {BASIC}")] * 3


def test_another_host_gets_no_credentials() -> None:
    with serving(lambda request: request.respond(b"x")) as (other, seen):
        server = TrackingServer("http://127.0.0.1:1/ml", "alice", SECRET)
        host = other.address.removeprefix("http://").removesuffix("/ml")
        read_file(f"mlflow-artifacts://{host}/1", "a", 5, server)
        read_file(f"http://{host}{ROUTE}/1", "a", 5, server)
    assert [authorization for _, authorization in seen] == [None, None]


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("mlflow-artifacts:/1/../2", "MLmodel"),
        ("mlflow-artifacts:/1/%2e%2e/2", "MLmodel"),
        ("mlflow-artifacts:/1\\2", "MLmodel"),
        ("mlflow-artifacts:/1\n2", "MLmodel"),
        ("mlflow-artifacts:/1", "../MLmodel"),
        ("mlflow-artifacts:/1", "%2e%2e/MLmodel"),
        ("mlflow-artifacts:/1", "/MLmodel"),
        (f"mlflow-artifacts://alice:{SECRET}@127.0.0.1/1", "MLmodel"),
        ("mlflow-artifacts://host?x/1", "MLmodel"),
        (f"http://alice:{SECRET}@127.0.0.1{ROUTE}/1", "MLmodel"),
    ],
)
def test_ambiguous_paths_are_rejected_before_any_request(location: str, path: str) -> None:
    with (
        serving(lambda request: request.respond(b"")) as (server, seen),
        pytest.raises(
            ModelUnavailable, match=r"is outside|must not contain|percent-encoded|must name a host"
        ),
    ):
        read_file(location, path, 5, server)
    assert not seen


def test_a_served_file_needs_the_server() -> None:
    with pytest.raises(ModelUnavailable, match="need an MLflow server: set MLFLOW_TRACKING_URI"):
        read_file("mlflow-artifacts:/1", "MLmodel", 5)
    with pytest.raises(ModelUnavailable, match=r"must be http\(s\)://"):
        read_file("mlflow-artifacts:/1", "MLmodel", 5, TrackingServer("sqlite:///m.db"))


def test_the_size_limit_holds_whatever_the_server_announces() -> None:
    def endless(request: Handler) -> None:
        request.send_response(200)
        request.end_headers()
        for _ in range(1000):
            request.wfile.write(b"x" * 65536)

    with serving(endless) as (server, _), pytest.raises(ModelUnavailable, match="larger than the limit of 9"):
        read_file("mlflow-artifacts:/1", "MLmodel", 9, server)


def test_half_a_file_is_not_taken_for_the_file() -> None:
    def cut(request: Handler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "10")
        request.end_headers()
        request.wfile.write(b"flavors:")

    with serving(cut) as (server, _), pytest.raises(ModelUnavailable, match="gave no valid response"):
        read_file("mlflow-artifacts:/1", "MLmodel", 100, server)


@pytest.mark.alone
@pytest.mark.parametrize("header", [b"Content-Length: 1000\r\n", b"", b"Transfer-Encoding: chunked\r\n"])
def test_a_dripping_server_cannot_stretch_the_time(header: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_client, "ARTIFACT_SECONDS", 1)

    def drip(request: Handler) -> None:
        request.wfile.write(b"HTTP/1.0 200 OK\r\n" + header + b"\r\n")
        try:
            for _ in range(50):
                request.wfile.write(b"1\r\nx\r\n" if b"chunked" in header else b"x")
                time.sleep(0.1)
        except OSError:  # the client disconnected
            return

    with serving(drip) as (server, _):
        began = time.monotonic()
        with pytest.raises(ModelUnavailable, match="gave no valid response within 1 s"):
            read_file("mlflow-artifacts:/1", "MLmodel", 1000, server)
        assert time.monotonic() - began < 3


def test_a_silent_server_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_client, "SILENCE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = TrackingServer(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ModelUnavailable, match="gave no valid response"):
            read_file("mlflow-artifacts:/1", "MLmodel", 5, server)


def test_a_redirect_on_the_same_server_keeps_the_credentials() -> None:
    def redirect(request: Handler) -> None:
        if "moved" in request.path:
            request.respond(b"{}")
        else:
            request.respond(b"", 302, Location="/moved")

    with serving(redirect) as (server, seen):
        assert call(server, "runs/get") == {}
    assert seen == [("/ml/api/2.0/mlflow/runs/get", f"Basic {BASIC}"), ("/moved", f"Basic {BASIC}")]


def test_a_redirect_to_another_server_loses_the_credentials() -> None:
    with serving(lambda request: request.respond(b"{}")) as (other, seen):
        target = f"{other.address}/file"
        with serving(lambda request: request.respond(b"", 307, Location=target)) as (server, _):
            assert read_file("mlflow-artifacts:/1", "a", 5, server) == b"{}"
    assert seen == [("/ml/file", None)]


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "file:///etc/passwd", "data:,x"])
def test_a_redirect_away_from_http_is_refused(target: str) -> None:
    with (
        serving(lambda request: request.respond(b"", 302, Location=target)) as (server, _),
        pytest.raises(ServerError, match="responded with 302"),
    ):
        read_file("mlflow-artifacts:/1", "a", 5, server)


@pytest.mark.parametrize("status", [401, 403])
def test_missing_and_wrong_credentials_are_told_apart(status: int) -> None:
    with serving(lambda request: request.respond(b"You are not authenticated.", status)) as (server, _):
        with pytest.raises(
            ServerError, match=rf"{status}: You are not authenticated\. Check MLFLOW_TRACKING_US"
        ):
            call(server, "runs/get")
        with pytest.raises(
            ServerError, match="Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or"
        ):
            call(TrackingServer(server.address), "runs/get")


def test_an_error_that_repeats_the_credentials_is_masked() -> None:
    def echo(request: Handler) -> None:
        request.respond(f"{request.headers['Authorization']} {SECRET}".encode(), 500)

    with serving(echo) as (server, _), pytest.raises(ServerError, match=r"500: Basic \*\*\* \*\*\*"):
        call(server, "runs/get")


def test_a_web_page_is_not_an_mlflow_server() -> None:
    with (
        serving(lambda request: request.respond(b"<html>")) as (server, _),
        pytest.raises(ModelUnavailable, match="is not an MLflow server's address"),
    ):
        call(server, "runs/get")


def test_folders_are_listed() -> None:
    listing = (
        b'{"files": [{"path": "MLmodel", "is_dir": false, "file_size": 3}, {"path": "data", "is_dir": true}]}'
    )
    with serving(lambda request: request.respond(listing)) as (server, seen):
        assert list_artifacts(server, "mlflow-artifacts:/1/m", "sub") == [("MLmodel", False), ("data", True)]
    assert seen[0][0] == f"/ml{ROUTE}?path=1%2Fm%2Fsub"
    for wrong in (b"[]", b'{"files": [1]}', b"{", b'{"files": {"a": 1}}'):
        with (
            serving(lambda request, content=wrong: request.respond(content)) as (server, _),  # type: ignore[misc]
            pytest.raises(ModelUnavailable, match="did not respond like an MLflow server"),
        ):
            list_artifacts(server, "mlflow-artifacts:/1/m")
