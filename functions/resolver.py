"""MODEL_URI → which version of which model, and where its files are.

Three forms, told apart by their looks:

    gs://BUCKET/releases/ride-duration/champion.json   a release pointer, written by `promote`
    gs://…/artifacts, or a folder                      an MLflow model folder (MLflow 2 or 3)
    models:/NAME@ALIAS, models:/NAME/7                 asks the MLflow registry's REST API
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

ANSWER_SECONDS = 5
"""For a whole answer: the registry's take milliseconds, and a longer wait only delays the next try."""
LARGEST_POINTER = 1 << 20
"""Bytes; a pointer names a handful of files."""

_NO_ANSWER = (OSError, http.client.HTTPException, msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
_MODELS_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


def resolve(uri: str, tracking_uri: str = "", token: str = "", places: tuple[str, ...] = ()) -> Release:
    """The release that `uri` names now.

    Args:
        places: how an address must begin, `gs://BUCKET/`, also one that a pointer or the registry names;
            if empty, any will do.

    Raises:
        ModelUnavailable: there is none, it cannot be read, it is elsewhere, or its store does not answer.
    """
    if uri.startswith("models:"):
        release = _ask_registry(uri, tracking_uri.rstrip("/"), token)
    elif uri.endswith(".json"):
        _refuse_elsewhere(uri, places)
        release = _read_pointer(uri)
    else:
        name = uri.rstrip("/").rpartition("/")[2]
        release = Release(name=name, version="", location=uri.rstrip("/"))
    _refuse_elsewhere(release.location, places)
    return release


def _refuse_elsewhere(address: str, places: tuple[str, ...]) -> None:
    if places and not f"{address}/".startswith(places):
        raise ModelUnavailable(
            f"{address!r} is not in {' or '.join(places)}, where models may come from: "
            "if it is meant, add its bucket to MODEL_BUCKETS"
        )


def _read_pointer(uri: str) -> Release:
    folder, slash, name = uri.rpartition("/")
    content = read_file(folder or slash or ".", name, LARGEST_POINTER)
    try:
        release = decode_release(content)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ModelUnavailable(f"{uri} is not a release pointer: {error}") from error
    if not release.files:
        raise ModelUnavailable(
            f"{uri} lists no files, so nothing it names can be verified: "
            "write it with `python -m jobs promote` or `sync`"
        )
    return release


def _ask_registry(uri: str, tracking_uri: str, token: str) -> Release:
    parts = _MODELS_URI.fullmatch(uri)
    if not parts:
        raise ModelUnavailable(f"{uri} must look like models:/NAME@ALIAS or models:/NAME/VERSION")
    name = parts["name"]
    if parts["alias"]:
        query = {"name": name, "alias": parts["alias"]}
        answer = _get(tracking_uri, "registered-models/alias", query, token)
    else:
        query = {"name": name, "version": parts["version"]}
        answer = _get(tracking_uri, "model-versions/get", query, token)
    try:
        found = answer["model_version"]
        version, run_id = str(found["version"]), str(found.get("run_id", ""))
        where = {"name": name, "version": version}
        answer = _get(tracking_uri, "model-versions/get-download-uri", where, token)
        location = str(answer["artifact_uri"])
    except (KeyError, TypeError) as error:
        raise ModelUnavailable(f"{tracking_uri} did not answer like an MLflow registry") from error
    return Release(name=name, version=version, run_id=run_id, location=location)


def _get(tracking_uri: str, method: str, query: dict[str, str], token: str) -> Any:
    address = f"{tracking_uri}/api/2.0/mlflow/{method}?{urllib.parse.urlencode(query)}"
    if not address.startswith(("http://", "https://")):
        raise ModelUnavailable(
            f"MLFLOW_TRACKING_URI={tracking_uri!r} must be http(s):// for a models:/ address; "
            "a function asks the registry's REST API only"
        )
    request = urllib.request.Request(address)  # noqa: S310  # the scheme was checked above
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    connections = _Connections()
    too_late = threading.Timer(ANSWER_SECONDS, connections.cut)
    too_late.start()
    try:
        try:
            with urllib.request.build_opener(connections).open(request, timeout=ANSWER_SECONDS) as answer:
                return msgspec.json.decode(answer.read(LARGEST_POINTER))
        except urllib.error.HTTPError as error:
            with error:
                detail = error.read(1000).decode(errors="replace")
            raise ModelUnavailable(f"{address} answered {error.code}: {detail}") from error
    except _NO_ANSWER as error:
        raise ModelUnavailable(f"{address} gave no answer in {ANSWER_SECONDS} s: {error}") from error
    finally:
        too_late.cancel()


class _Connections(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """The connections of one answer, to be cut if it is late: a socket's timeout begins anew at each byte."""

    def __init__(self) -> None:
        super().__init__()
        self._sockets: list[socket.socket] = []
        self._late = False

    def do_open(self, http_class: Any, req: urllib.request.Request, **arguments: Any) -> Any:
        def watched(*where: Any, **how: Any) -> http.client.HTTPConnection:
            connection: http.client.HTTPConnection = http_class(*where, **how)
            connect = connection.connect

            def connect_in_time() -> None:
                connect()
                self._sockets.append(connection.sock)
                if self._late:
                    raise TimeoutError("too late")

            connection.connect = connect_in_time  # type: ignore[method-assign]
            return connection

        return super().do_open(watched, req, **arguments)

    def cut(self) -> None:
        self._late = True
        for each in self._sockets:
            with suppress(OSError):  # closed, because its answer is there
                # Not TLS's own shutdown, which another thread cannot ask for in the midst of a read.
                socket.socket.shutdown(each, socket.SHUT_RDWR)
