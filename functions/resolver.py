"""Resolves MODEL_URI to a release: a model's name, its version and the location of its files.

Three forms are supported:

    gs://BUCKET/releases/ride-duration/champion.json   a release pointer, written by `promote`
    gs://…/artifacts, or a folder                      an MLflow model folder (MLflow 2 or 3)
    models:/NAME@ALIAS, models:/NAME/7                 looked up with the MLflow registry's REST API
"""

import http.client
import re
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from typing import Any

import msgspec

from functions.artifacts import read_file
from functions.errors import ModelUnavailable
from functions.releases import Release, decode_release

TIMEOUT_SECONDS = 5
"""Limit for a complete response: the registry needs milliseconds, and a longer wait delays the next try."""
MAX_POINTER_BYTES = 1 << 20
"""A pointer lists a handful of files."""

_FAILURES = (OSError, http.client.HTTPException, msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
_MODELS_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


def resolve(
    uri: str, tracking_uri: str = "", token: str = "", allowed_prefixes: tuple[str, ...] = ()
) -> Release:
    """The release to which `uri` currently refers.

    Args:
        allowed_prefixes: `gs://BUCKET/…`, for `uri` and for the release's location; empty allows any.

    Raises:
        ModelUnavailable: the release does not exist, cannot be read or is not in an allowed location.
    """
    if uri.startswith("models:"):
        release = _query_registry(uri, tracking_uri.rstrip("/"), token)
    elif uri.endswith(".json"):
        _require_allowed(uri, allowed_prefixes)
        release = _read_pointer(uri)
    else:
        name = uri.rstrip("/").rpartition("/")[2]
        release = Release(name=name, version="", location=uri.rstrip("/"))
    _require_allowed(release.location, allowed_prefixes)
    return release


def _require_allowed(location: str, allowed_prefixes: tuple[str, ...]) -> None:
    if allowed_prefixes and not f"{location}/".startswith(allowed_prefixes):
        raise ModelUnavailable(
            f"{location!r} is not in {' or '.join(allowed_prefixes)}, the allowed locations of models: "
            "if it should be, add its bucket to MODEL_BUCKETS"
        )


def _read_pointer(uri: str) -> Release:
    folder, slash, name = uri.rpartition("/")
    content = read_file(folder or slash or ".", name, MAX_POINTER_BYTES)
    try:
        release = decode_release(content)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ModelUnavailable(f"{uri} is not a release pointer: {error}") from error
    if not release.files:
        raise ModelUnavailable(
            f"{uri} lists no files, so the model cannot be verified: "
            "write the pointer with `python -m jobs promote` or `sync`"
        )
    return release


def _query_registry(uri: str, tracking_uri: str, token: str) -> Release:
    match = _MODELS_URI.fullmatch(uri)
    if not match:
        raise ModelUnavailable(f"{uri} must look like models:/NAME@ALIAS or models:/NAME/VERSION")
    name = match["name"]
    method = "registered-models/alias" if match["alias"] else "model-versions/get"
    query = {field: value for field, value in match.groupdict().items() if value}
    response = _get(tracking_uri, method, query, token)
    try:
        model_version = response["model_version"]
        version, run_id = str(model_version["version"]), str(model_version.get("run_id", ""))
        query = {"name": name, "version": version}
        response = _get(tracking_uri, "model-versions/get-download-uri", query, token)
        location = str(response["artifact_uri"])
    except (KeyError, TypeError) as error:
        raise ModelUnavailable(f"{tracking_uri} did not respond like an MLflow registry") from error
    return Release(name=name, version=version, run_id=run_id, location=location)


def _get(tracking_uri: str, method: str, query: dict[str, str], token: str) -> Any:
    url = f"{tracking_uri}/api/2.0/mlflow/{method}?{urllib.parse.urlencode(query)}"
    if not url.startswith(("http://", "https://")):
        raise ModelUnavailable(
            f"MLFLOW_TRACKING_URI={tracking_uri!r} must be http(s):// for a models:/ URI, because "
            "functions use the registry's REST API only"
        )
    request = urllib.request.Request(url)  # noqa: S310  # the scheme was checked above
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    connections = _AbortableConnections()
    timer = threading.Timer(TIMEOUT_SECONDS, connections.abort)
    timer.start()
    try:
        try:
            with urllib.request.build_opener(connections).open(request, timeout=TIMEOUT_SECONDS) as response:
                return msgspec.json.decode(response.read(MAX_POINTER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                detail = error.read(1000).decode(errors="replace")
            raise ModelUnavailable(f"{url} responded with {error.code}: {detail}") from error
    except _FAILURES as error:
        raise ModelUnavailable(f"{url} gave no valid response within {TIMEOUT_SECONDS} s: {error}") from error
    finally:
        timer.cancel()


class _AbortableConnections(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Connections that can be aborted at a deadline: a socket's own timeout restarts with each byte."""

    def __init__(self) -> None:
        super().__init__()
        self._sockets: list[socket.socket] = []
        self._aborted = False

    def do_open(self, http_class: Any, req: urllib.request.Request, **kwargs: Any) -> Any:
        def abortable(*args: Any, **options: Any) -> http.client.HTTPConnection:
            connection: http.client.HTTPConnection = http_class(*args, **options)
            connect = connection.connect

            def connect_and_register() -> None:
                connect()
                self._sockets.append(connection.sock)
                if self._aborted:
                    raise TimeoutError("timed out")

            connection.connect = connect_and_register  # type: ignore[method-assign]
            return connection

        return super().do_open(abortable, req, **kwargs)

    def abort(self) -> None:
        self._aborted = True
        for connected in self._sockets:
            with suppress(OSError):  # already closed
                # Not the TLS socket's own shutdown, which cannot be called during another thread's read.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)
