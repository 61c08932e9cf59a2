"""HTTP requests to an MLflow server: its REST API, and the artifacts that it serves itself.

A server's answers are untrusted: time and size are limited, and credentials go to its own host only.
"""

import base64
import http.client
import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Self
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit

import msgspec

from functions.errors import (
    ModelNotAllowed,
    ModelNotFound,
    ModelUnavailable,
    ModelUnreachable,
    SettingsError,
)
from functions.model_uris import DATABRICKS

TIMEOUT_SECONDS = 5.0
"""Limit for a complete response: the registry needs milliseconds, and a longer wait delays the next try."""
ARTIFACT_SECONDS = 60.0
"""Limit for a complete file."""
SILENCE_SECONDS = 15.0
"""Longest pause while a file is sent; a server may fetch it from its own store first."""
MAX_RESPONSE_BYTES = 1 << 20
"""Of the REST API: a version's description or a folder's list has a few thousand."""
MAX_DETAIL_CHARACTERS = 300
"""Of an error's text."""

ADDRESS = "MLFLOW_TRACKING_URI"
USERNAME, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
TOKEN = "MLFLOW_TRACKING_TOKEN"  # noqa: S105  # a name

_EXAMPLE = f"{ADDRESS}=http://localhost:5000"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_CHUNK_BYTES = 1 << 20
_HOST = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]+)?|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?")
_HOST_AND_PORT = re.compile(r"(?:[^/\s]+@)?[A-Za-z0-9.-]+:[0-9]{1,5}(?:/\S*)?")
_FAILURES = (OSError, http.client.HTTPException, ValueError, RecursionError)


class ServerError(ModelUnavailable):
    """A server answered with an error."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
        if status == http.HTTPStatus.NOT_FOUND:
            self.cause = ModelNotFound.cause
        elif status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
            self.cause = ModelNotAllowed.cause
        else:
            self.cause = ModelUnreachable.cause


@dataclass(frozen=True, repr=False)
class TrackingServer:
    """An MLflow server and the credentials for it, which its representation does not show."""

    address: str = ""
    """`http(s)://HOST[:PORT][/PREFIX]` without credentials and without a slash at the end; for jobs also a
    database's or a folder's; empty if not set."""
    username: str = ""
    password: str = ""
    token: str = ""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The server of MLFLOW_TRACKING_URI, with the credentials in it, or else those of MLflow's variables.

        Raises:
            SettingsError: the address or the credentials cannot be used as they are.
        """
        address = environ.get(ADDRESS, "").strip()
        if problem := _problem_with(address):
            raise SettingsError(problem)
        username, password = environ.get(USERNAME, "").strip(), environ.get(PASSWORD, "").strip("\r\n")
        token = environ.get(TOKEN, "").strip()
        if not _is_http(address):
            return cls(address, username, password, token)
        parts = urlsplit(address)
        if parts.username:
            username, token = unquote(parts.username), ""
            password = unquote(parts.password or "") or password
        if bool(username) != bool(password):
            given, missing = (USERNAME, PASSWORD) if username else (PASSWORD, USERNAME)
            source = f"{ADDRESS} contains a user name" if parts.username else f"{given} is set"
            raise SettingsError(f"{source}, but {missing} is not set: MLflow needs both")
        if not re.fullmatch(r"[\x21-\x7e]*", token):
            raise SettingsError(f"{TOKEN} contains a space, a line break or a letter that no token has")
        host = parts.netloc.rpartition("@")[2]
        return cls(f"{parts.scheme}://{host}{parts.path}".rstrip("/"), username, password, token)

    @property
    def authorization(self) -> str:
        """The value of the HTTP header; empty without credentials. As in MLflow, a user name comes first."""
        if self.username:
            return f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode()).decode()}"
        return f"Bearer {self.token}" if self.token else ""

    def mask(self, text: str) -> str:
        """A text without this server's secrets, which a server may repeat in an error."""
        for secret in filter(None, (self.authorization.partition(" ")[2], self.password, self.token)):
            text = text.replace(secret, "***")
        return text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({redact_user_info(self.address)!r})"


def redact_user_info(address: str) -> str:
    """The address of a server or database without user name, password and query, to be shown."""
    scheme, separator, rest = address.partition("://") if "://" in address else ("", "", address)
    if scheme in ("sqlite", "file") or rest.startswith(("/", ".")):
        return address  # a path
    if "@" in rest:
        rest = f"***@{rest.rpartition('@')[2]}"
    rest, question, _ = rest.partition("?")
    return f"{scheme}{separator}{rest}{question and '?***'}"


def call(server: TrackingServer, method: str, query: Mapping[str, str] | None = None) -> Any:
    """The parsed response to a GET request of the REST API.

    Args:
        method: `registered-models/alias`, say.

    Raises:
        ServerError: the server answered with an error.
        ModelUnavailable: the server cannot be asked, or did not answer as MLflow does.
    """
    return _call(server, f"{method}?{urlencode(query)}" if query else method)


def post(server: TrackingServer, method: str, body: Mapping[str, Any]) -> Any:
    """Likewise for a POST request with a JSON body."""
    return _call(server, method, msgspec.json.encode(body))


def _call(server: TrackingServer, path: str, body: bytes | None = None) -> Any:
    _require_http(server, "models:/ and runs:/ URIs")
    url = f"{server.address}/api/2.0/mlflow/{path}"
    content = _fetch(server, url, _Limits(MAX_RESPONSE_BYTES, TIMEOUT_SECONDS, TIMEOUT_SECONDS), body)
    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ModelUnavailable(
            f"{url} gave no valid response, so {server.address} is not an MLflow server's address: {error}. "
            "DagsHub's is https://dagshub.com/USER/REPOSITORY.mlflow"
        ) from error


def is_artifact_uri(location: str) -> bool:
    """Whether files at a location are served by an MLflow server."""
    return location.startswith("mlflow-artifacts:") or (_is_http(location) and f"{_ARTIFACTS}/" in location)


def read_artifact(server: TrackingServer, location: str, path: str, limit: int) -> bytes:
    """A file that an MLflow server serves, or its first `limit` + 1 bytes.

    Args:
        location: `mlflow-artifacts:/FOLDER`, `mlflow-artifacts://HOST/FOLDER` or the URL of either; both it
            and `path` have no `..` and are not percent-encoded.

    Raises:
        ModelUnavailable: it does not exist, cannot be read, or takes too long.
    """
    root, folder = _artifact_root(server, location)
    url = f"{root}/{quote(f'{folder}/{path}'.lstrip('/'))}"
    return _fetch(server, url, _Limits(limit, ARTIFACT_SECONDS, SILENCE_SECONDS))


def list_artifacts(server: TrackingServer, location: str, path: str = "") -> list[tuple[str, bool]]:
    """The names in a folder, and whether each is a folder; arguments and errors as of `read_artifact`."""
    root, folder = _artifact_root(server, location)
    url = f"{root}?{urlencode({'path': f'{folder}/{path}'.strip('/')})}"
    content = _fetch(server, url, _Limits(MAX_RESPONSE_BYTES, ARTIFACT_SECONDS, SILENCE_SECONDS))
    try:
        files = msgspec.json.decode(content).get("files", [])
        return [(str(file["path"]), bool(file.get("is_dir", False))) for file in files]
    except (msgspec.MsgspecError, AttributeError, LookupError, TypeError, UnicodeDecodeError) as error:
        raise ModelUnavailable(f"{url} did not respond like an MLflow server") from error


def _artifact_root(server: TrackingServer, location: str) -> tuple[str, str]:
    """The URL below which a location's server has its files, and the location's folder there."""
    if _is_http(location):
        base, _, folder = location.partition(f"{_ARTIFACTS}/")
        scheme, _, host = base.partition("://")
        host, slash, prefix = host.partition("/")
    else:
        _require_http(server, f"models at {location}")
        tracking = urlsplit(server.address)
        path = location.partition(":")[2]
        host, _, folder = path[2:].partition("/") if path.startswith("//") else ("", "", path)
        scheme, host, slash, prefix = tracking.scheme, host or tracking.netloc, "", tracking.path
    if not _HOST.fullmatch(host):
        raise ModelUnavailable(f"{redact_user_info(location)} must name a host without user name: HOST:PORT")
    return f"{scheme}://{host}{slash}{prefix}{_ARTIFACTS}", folder.strip("/")


def _problem_with(address: str) -> str:
    """What is wrong with a tracking address, and what to write instead; empty if nothing is."""
    shown = f"{ADDRESS}={redact_user_info(address)!r}"
    if address.lower().startswith(("databricks", "uc:")):
        return f"{shown}: {DATABRICKS}"
    if _HOST_AND_PORT.fullmatch(address):
        return f"{shown} has no http:// or https:// in front: write it like {_EXAMPLE}"
    if not address.lower().startswith(("http:", "https:")):
        return ""
    try:
        parts = urlsplit(address)
        # An @ in the path is that of a password with a slash.
        valid = bool(parts.hostname) and parts.port != 0 and "@" not in parts.path
    except ValueError:
        valid = False
    if not valid or re.search(r"[\s\x00-\x1f\x7f]", address):
        return (
            f"{shown} is not a valid address: write it like {_EXAMPLE} or https://HOST/PREFIX, and special "
            "characters of a password percent-encoded (@ as %40, / as %2F)"
        )
    if parts.query or parts.fragment:
        return f"{shown} must end before the ? or #: write it like {_EXAMPLE}"
    return ""


def _is_http(address: str) -> bool:
    return address.lower().startswith(("http://", "https://"))


def _require_http(server: TrackingServer, what: str) -> None:
    if not server.address:
        raise ModelUnavailable(f"{what} need an MLflow server: set {_EXAMPLE}")
    if not _is_http(server.address):
        raise ModelUnavailable(
            f"{ADDRESS}={redact_user_info(server.address)!r} must be http(s)://, because {what} are read "
            "over HTTP here"
        )


class _Limits(NamedTuple):
    size: int
    """Bytes."""
    seconds: float
    """For the complete response."""
    silence: float
    """Seconds between two packets."""


def _fetch(server: TrackingServer, url: str, limits: _Limits, body: bytes | None = None) -> bytes:
    """The content of a response, or as many bytes of it as show that it is too large.

    A socket's own timeout restarts with each byte, so a timer aborts the connection.
    """
    request = urllib.request.Request(url, body)  # noqa: S310  # the callers check the scheme
    if body is not None:
        request.add_header("Content-Type", "application/json")
    authorized = bool(server.authorization) and _same_server(urlsplit(server.address), urlsplit(url))
    if authorized:
        request.add_unredirected_header("Authorization", server.authorization)
    connections = _AbortableConnections()
    timer = threading.Timer(limits.seconds, connections.abort)
    timer.start()
    try:
        try:
            opener = urllib.request.build_opener(connections, _SafeRedirects)
            with opener.open(request, timeout=min(limits.seconds, limits.silence)) as response:
                content = _read(response, limits.size)
        except urllib.error.HTTPError as error:
            with error:
                detail = server.mask(error_detail(error.read(4 * MAX_DETAIL_CHARACTERS)))
            raise ServerError(describe_error(error.code, url, detail, authorized), error.code) from error
        if connections.aborted:  # the end of a response without a length
            raise TimeoutError("timed out")
    except _FAILURES as error:
        raise ModelUnreachable(
            f"{url} gave no valid response within {limits.seconds:g} s: {server.mask(str(error))}"
        ) from error
    else:
        return content
    finally:
        timer.cancel()


def _read(response: http.client.HTTPResponse, limit: int) -> bytes:
    content = bytearray()
    while chunk := response.read(min(_CHUNK_BYTES, limit + 1 - len(content))):
        content += chunk
    if len(content) <= limit and response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return bytes(content)


def error_detail(content: bytes) -> str:
    """An error's message: MLflow sends it as JSON, proxies as any text."""
    text = content.decode(errors="replace")
    with suppress(msgspec.MsgspecError, RecursionError, TypeError, LookupError):
        text = str(msgspec.json.decode(content)["message"])
    return " ".join(text.split())[:MAX_DETAIL_CHARACTERS]


def describe_error(status: int, url: str, detail: str, authorized: bool) -> str:
    """An error's text: status and detail of the response, and what to do if credentials are missing or wrong.

    Args:
        authorized: whether the request had credentials.
    """
    message = f"{url} responded with {status}: {detail}".rstrip(": .")
    if status not in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return message
    if authorized:
        return (
            f"{message}. Check {USERNAME} and {PASSWORD}, or {TOKEN}, and this user's permissions in MLflow"
        )
    return f"{message}. Set {USERNAME} and {PASSWORD}, or {TOKEN}, for the server of {ADDRESS}"


def _same_server(one: SplitResult, other: SplitResult) -> bool:
    """Whether both URLs have the same host and port, or the second is the first with TLS."""
    ports = {"http": 80, "https": 443}
    origins = [(parts.scheme, parts.port or ports.get(parts.scheme)) for parts in (one, other)]
    upgraded = origins == [("http", 80), ("https", 443)]
    return one.hostname == other.hostname and (origins[0] == origins[1] or upgraded)


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Keeps credentials on the same server, and never leaves HTTP or TLS."""

    def redirect_request(  # noqa: PLR0913, PLR0917  # as the base class
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
            raise urllib.error.HTTPError(req.full_url, code, msg, headers, fp)
        redirected = super().redirect_request(req, fp, code, msg, headers, newurl)
        authorization = req.unredirected_hdrs.get("Authorization")
        if redirected and authorization and _same_server(old, new):
            redirected.add_unredirected_header("Authorization", authorization)
        return redirected


class _AbortableConnections(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Connections that can be aborted at a deadline."""

    def __init__(self) -> None:
        super().__init__()
        self._sockets: list[socket.socket] = []
        self.aborted = False

    def do_open(self, http_class: Any, req: urllib.request.Request, **kwargs: Any) -> Any:
        def abortable(*args: Any, **options: Any) -> http.client.HTTPConnection:
            connection: http.client.HTTPConnection = http_class(*args, **options)
            connect = connection.connect

            def connect_and_register() -> None:
                connect()
                self._sockets.append(connection.sock)
                if self.aborted:
                    raise TimeoutError("timed out")

            connection.connect = connect_and_register  # type: ignore[method-assign]
            return connection

        return super().do_open(abortable, req, **kwargs)

    def abort(self) -> None:
        self.aborted = True
        for connected in self._sockets:
            with suppress(OSError):  # already closed
                # Not the TLS socket's own shutdown, which cannot be called during another thread's read.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)
