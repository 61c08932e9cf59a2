"""What /health and a 503 say, of which nothing may name a bucket, a server or a file."""

import asyncio
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from google.api_core import exceptions as google

from functions import artifacts
from functions.artifacts import read_file
from functions.errors import (
    ModelDamaged,
    ModelNotAllowed,
    ModelNotFound,
    ModelUnavailable,
    ModelUnreachable,
)
from functions.mlflow_client import ServerError
from functions.releases import Release, encode_release
from functions.resolver import resolve
from jobs.registry.model_store import build_manifest
from tests.serving import call, post

PRIVATE = ("gs://", "champion.json", "/tmp", "MLmodel", "onnx_folder", "model.onnx")
OPENAPI = json.loads((Path(artifacts.__file__).parent / "openapi.json").read_text())
EVENT = {"ride": {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}, "ride_id": 256}


def seconds_ago(timestamp: str) -> float:
    assert timestamp.endswith("Z")
    return (datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds()


def release_of(folder: Path, version: str) -> bytes:
    release = Release(name="m", version=version, location=str(folder), files=build_manifest(str(folder)))
    return encode_release(release)


@pytest.mark.parametrize("target", ["predict", "predict_event"])
def test_health_tells_the_release_in_service_and_the_one_refused(
    event_settings: dict[str, str], onnx_folder: Path, other_onnx_folder: Path, tmp_path: Path, target: str
) -> None:
    pointer = tmp_path / "champion.json"
    pointer.write_bytes(release_of(onnx_folder, "1"))
    damaged = shutil.copytree(other_onnx_folder, tmp_path / "damaged")

    async def after(client: httpx.AsyncClient, content: bytes) -> dict[str, Any]:
        pointer.write_bytes(content)
        for _ in range(3):
            health = (await client.get("/health")).json()
            await asyncio.sleep(0.2)
        return dict(health)

    async def scenario(client: httpx.AsyncClient) -> None:
        health = await after(client, pointer.read_bytes())
        assert {"status": "ok", "model": "m", "model_version": "1"}.items() <= health.items()
        assert 0 <= seconds_ago(health["in_service_since"]) < 60
        assert 0 <= health["last_check_age_seconds"] < 10
        assert "refused" not in health

        content = release_of(damaged, "2")
        (damaged / "model.onnx").write_bytes(b"damaged")
        health = await after(client, content)
        assert (health["status"], health["model_version"]) == ("ok", "1")
        assert (health["refused"]["model_version"], health["refused"]["reason"]) == ("2", ModelDamaged.cause)
        assert 0 <= seconds_ago(health["refused"]["since"]) < 60
        assert not [word for word in PRIVATE if word in json.dumps(health)]
        jsonschema.validate(health, OPENAPI["components"]["schemas"]["Health"])

        health = await after(client, release_of(other_onnx_folder, "3"))
        assert health["model_version"] == "3"
        assert "refused" not in health

    call(target, event_settings | {"MODEL_URI": str(pointer), "MODEL_REFRESH_SECONDS": "0.01"}, scenario)


@pytest.mark.parametrize("path", ["/health", "/ping"])
def test_the_openapi_documents_examples_are_valid(path: str) -> None:
    response = OPENAPI["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    for example in response["examples"].values():
        jsonschema.validate(example["value"], OPENAPI["components"]["schemas"]["Health"])


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (Path.unlink, ModelNotFound.cause),
        (lambda pointer: pointer.write_bytes(b"{"), ModelDamaged.cause),
        (
            lambda pointer: pointer.write_bytes(pointer.read_bytes().replace(b"../", b"/nowhere/")),
            ModelNotFound.cause,
        ),
        (lambda _: None, ModelNotAllowed.cause),
    ],
)
@pytest.mark.parametrize(("target", "path"), [("predict", "/predict"), ("predict_event", "/")])
def test_a_503_says_why_there_is_no_model(
    event_settings: dict[str, str],
    onnx_folder: Path,
    tmp_path: Path,
    spoil: Callable[[Path], object],
    cause: str,
    target: str,
    path: str,
) -> None:
    pointer = tmp_path / "champion.json"
    pointer.write_bytes(release_of(onnx_folder, "1").replace(b'"location": "', b'"location": "../'))
    spoil(pointer)
    settings = event_settings | {"MODEL_URI": str(pointer)}
    for response in (
        call(target, settings, lambda client: client.get("/health")),
        post(target, settings, path, json=EVENT),
    ):
        assert response.status_code == 503
        assert response.json()["detail"] == f"no model is in service: {cause}; the log says more"
        assert not [word for word in PRIVATE if word in response.text]


class Failing:
    """A storage client of which every download fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, _name: str) -> Callable[..., "Failing"]:
        return lambda *_args, **_named: self

    def download_as_bytes(self, **_: Any) -> bytes:
        raise self._error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (google.NotFound("no"), ModelNotFound),
        (google.Forbidden("no"), ModelNotAllowed),
        (google.Unauthorized("no"), ModelNotAllowed),
        (google.ServiceUnavailable("no"), ModelUnreachable),
        (ConnectionResetError(), ModelUnreachable),
    ],
)
def test_what_a_store_answers_has_a_cause(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[ModelUnavailable]
) -> None:
    monkeypatch.setattr(artifacts, "storage_client", lambda: Failing(error))
    with pytest.raises(kind):
        read_file("gs://bucket/model", "MLmodel", 10)


@pytest.mark.parametrize(
    ("status", "cause"),
    [(404, ModelNotFound), (401, ModelNotAllowed), (403, ModelNotAllowed), (502, ModelUnreachable)],
)
def test_what_an_mlflow_server_answers_has_a_cause(status: int, cause: type[ModelUnavailable]) -> None:
    assert ServerError("no", status).cause == cause.cause


def test_a_location_that_is_not_allowed_has_a_cause(tmp_path: Path) -> None:
    with pytest.raises(ModelNotAllowed):
        resolve(str(tmp_path), allowed_prefixes=("gs://models/",))
