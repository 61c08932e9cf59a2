"""MODEL_URI → which version of which model, and where its files are.

Three forms, told apart by their looks:

    gs://BUCKET/releases/ride-duration/champion.json   a release pointer, written by `promote`
    gs://…/artifacts, or a folder                      an MLflow model folder (MLflow 2 or 3)
    models:/NAME@ALIAS, models:/NAME/7                 asks the MLflow registry's REST API
"""

import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import msgspec

from functions.artifacts import read_file
from functions.errors import ModelUnavailable
from functions.releases import Release, decode_release

ANSWER_SECONDS = 5
"""The registry answers in milliseconds; a longer wait only delays the next try."""
LARGEST_POINTER = 1 << 20
"""Bytes; a pointer names a handful of files."""

_MODELS_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


def resolve(uri: str, tracking_uri: str = "", token: str = "") -> Release:
    """The release that `uri` names now.

    Raises:
        ModelUnavailable: there is none, it cannot be read, or its store does not answer.
    """
    if uri.startswith("models:"):
        return _ask_registry(uri, tracking_uri.rstrip("/"), token)
    if uri.endswith(".json"):
        return _read_pointer(uri)
    name = uri.rstrip("/").rpartition("/")[2]
    return Release(name=name, version="", location=uri.rstrip("/"))


def _read_pointer(uri: str) -> Release:
    folder, _, name = uri.rpartition("/")
    content = read_file(folder, name, LARGEST_POINTER)
    try:
        return decode_release(content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ModelUnavailable(f"{uri} is not a release pointer: {error}") from error


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
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            return msgspec.json.decode(answer.read(LARGEST_POINTER))
    except urllib.error.HTTPError as error:
        detail = error.read(1000).decode(errors="replace")
        raise ModelUnavailable(f"{address} answered {error.code}: {detail}") from error
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ModelUnavailable(f"{address} gave no answer: {error}") from error
