"""Parses MLflow's URIs of models, `models:/…` and `runs:/…`."""

import re
from typing import NamedTuple
from urllib.parse import unquote

from functions.errors import ModelUnavailable

FORMS = "models:/NAME@ALIAS, models:/NAME/VERSION, models:/NAME/latest, models:/MODEL_ID or runs:/RUN_ID/NAME"
DATABRICKS = (
    "Databricks' tracking and registry are not supported: download the model with "
    "`mlflow artifacts download`, copy it to gs://BUCKET/FOLDER, and name that folder"
)

_NAME = re.compile(r"[^/:\x00-\x1f\x7f]*[^/:\s\x00-\x1f\x7f][^/:\x00-\x1f\x7f]*")
_ALIAS = re.compile(r"[^/@:\s]+")
_VERSION = re.compile(r"[0-9]+")
_MODEL_ID = re.compile(r"m-[0-9A-Za-z]+")
_RUN_ID = re.compile(r"[0-9A-Za-z_-]+")
_STAGES = ("production", "staging", "archived", "none")


class ModelUri(NamedTuple):
    """What a URI names; unused fields are empty."""

    name: str = ""
    """Of a registered model; its latest version if neither `alias` nor `version` is given."""
    alias: str = ""
    version: str = ""
    model_id: str = ""
    """Of a logged model of MLflow 3."""
    run_id: str = ""
    path: str = ""
    """Name of a logged model of the run, or a folder of the run's artifacts."""


def is_model_uri(uri: str) -> bool:
    """Whether a tracking server resolves the URI."""
    return uri.startswith(("models:", "runs:"))


def parse_model_uri(uri: str) -> ModelUri:
    """Parses a URI; a registered model's name may be percent-encoded.

    Raises:
        ModelUnavailable: it has none of the supported forms; the text says what to write instead.
    """
    scheme, _, rest = uri.partition(":")
    if rest.startswith("//"):
        if "databricks" in rest:
            raise ModelUnavailable(f"{uri}: {DATABRICKS}")
        raise ModelUnavailable(f"{uri} must have one slash after the colon: {scheme}:/{rest.lstrip('/')}")
    if not rest.startswith("/"):
        raise _malformed(uri)
    path = rest[1:].rstrip("/")
    return _parse_run(uri, path) if scheme == "runs" else _parse_model(uri, path)


def _parse_model(uri: str, path: str) -> ModelUri:
    name, slash, suffix = path.rpartition("/")
    if not slash:
        if _MODEL_ID.fullmatch(suffix):
            return ModelUri(model_id=suffix)
        name, at, alias = suffix.rpartition("@")
        if not at or not _ALIAS.fullmatch(alias):
            raise _malformed(uri)
        return ModelUri(name=_parse_name(uri, name), alias=alias)
    name = _parse_name(uri, name)
    if _VERSION.fullmatch(suffix):
        return ModelUri(name=name, version=suffix)
    if suffix.lower() == "latest":
        return ModelUri(name=name)
    if suffix.lower() in _STAGES:
        raise ModelUnavailable(
            f"{uri} names a stage, which MLflow has replaced by aliases: set the alias "
            f"{suffix.lower()} for the version in MLflow, and write models:/{name}@{suffix.lower()}"
        )
    raise _malformed(uri)


def _parse_name(uri: str, encoded: str) -> str:
    name = unquote(encoded)
    if not _NAME.fullmatch(name):
        raise _malformed(uri)
    return name


def _parse_run(uri: str, path: str) -> ModelUri:
    run_id, _, folder = path.partition("/")
    if not _RUN_ID.fullmatch(run_id):
        raise _malformed(uri)
    if not folder:
        raise ModelUnavailable(
            f"{uri} names a run, but no model of it: add the name it was logged with, "
            f"such as runs:/{run_id}/model"
        )
    return ModelUri(run_id=run_id, path=folder)


def _malformed(uri: str) -> ModelUnavailable:
    return ModelUnavailable(f"{uri} must look like {FORMS}")
