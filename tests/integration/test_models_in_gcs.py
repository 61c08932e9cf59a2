"""All forms of MODEL_URI, on a Cloud Storage emulator and a real MLflow server."""

import warnings
from pathlib import Path

import pytest

from functions.artifacts import storage_client
from functions.errors import ModelUnavailable
from functions.mlflow_client import TrackingServer
from functions.model import load_model
from functions.releases import encode_release
from functions.resolver import resolve
from jobs.local.emulators import BUCKET
from jobs.registry.model_store import atomic_write_bytes, build_manifest
from jobs.registry.model_versions import ModelRegistry
from jobs.registry.release_pointer import read_pointer, write_pointer
from tests.models import log_onnx, some_rides

pytestmark = pytest.mark.usefixtures("in_cloud")
RIDES = some_rides(20)


@pytest.fixture(autouse=True)
def _own_client() -> None:
    storage_client.cache_clear()


def upload(folder: Path, name: str) -> str:
    for path in folder.rglob("*"):
        if path.is_file():
            atomic_write_bytes(f"gs://{BUCKET}/{name}/{path.relative_to(folder)}", path.read_bytes())
    return f"gs://{BUCKET}/{name}"


def test_a_folder_of_mlflow_2_in_the_bucket(onnx_folder: Path) -> None:
    uri = upload(onnx_folder, "mlflow/1/0123456789abcdef/artifacts/model")
    model = load_model(resolve(uri))
    assert model.predict(RIDES).tolist() == load_model(resolve(str(onnx_folder))).predict(RIDES).tolist()


def test_scikit_learn_in_the_bucket(skops_folder: Path) -> None:
    uri = upload(skops_folder, "skops")
    assert load_model(resolve(uri)).predict(RIDES).shape == (20,)


def test_a_registered_model_by_alias_and_by_number(mlflow_server: str) -> None:
    version = log_onnx("by-alias")
    registry = ModelRegistry(mlflow_server, "by-alias")
    with pytest.raises(ModelUnavailable, match="alias champion not found"):
        resolve("models:/by-alias@champion", TrackingServer(mlflow_server))
    registry.set_champion(registry.release(version), "champion", {})
    by_alias = resolve("models:/by-alias@champion", TrackingServer(mlflow_server))
    by_number = resolve(f"models:/by-alias/{version}", TrackingServer(mlflow_server))
    assert by_alias == by_number
    assert by_alias.version == str(version)
    assert by_alias.location.startswith(f"gs://{BUCKET}/mlflow/")
    assert by_alias.location.endswith("/artifacts"), "MLflow 3's layout"
    assert load_model(by_alias).version == str(version)


def test_a_logged_model_by_its_id_its_run_and_as_the_latest_version(mlflow_server: str) -> None:
    server = TrackingServer(mlflow_server)
    version = log_onnx("by-id")
    latest = resolve("models:/by-id/latest", server)
    assert latest == resolve(f"models:/by-id/{version}", server)
    by_run = resolve(f"runs:/{latest.run_id}/onnx", server)
    assert by_run.location == latest.location
    assert resolve(f"models:/{by_run.version}", server) == by_run


def test_a_release_pointer_serves_without_the_registry(mlflow_server: str) -> None:
    registry = ModelRegistry(mlflow_server, "pointed")
    release = registry.release(log_onnx("pointed"))
    pointer = f"gs://{BUCKET}/releases/pointed/champion.json"
    assert read_pointer(pointer) is None
    write_pointer(pointer, release)
    assert resolve(pointer) == release
    model = load_model(resolve(pointer))
    assert (model.version, model.release.run_id) == (release.version, release.run_id)


def test_a_file_swapped_in_the_bucket_is_refused(onnx_folder: Path, other_onnx_folder: Path) -> None:
    uri = upload(onnx_folder, "swapped")
    release = resolve(uri)
    pointer = f"gs://{BUCKET}/releases/swapped/champion.json"
    atomic_write_bytes(
        pointer,
        encode_release(type(release)(name="m", version="1", location=uri, files=build_manifest(uri))),
    )
    load_model(resolve(pointer))
    atomic_write_bytes(f"{uri}/model.onnx", (other_onnx_folder / "model.onnx").read_bytes())
    with pytest.raises(ModelUnavailable, match=r"not the file that was released|larger than"):
        load_model(resolve(pointer))


def test_missing_files_are_reported() -> None:
    with pytest.raises(ModelUnavailable, match=f"gs://{BUCKET}/no/champion.json does not exist"):
        resolve(f"gs://{BUCKET}/no/champion.json")
    with pytest.raises(ModelUnavailable, match="MLmodel does not exist"):
        load_model(resolve(f"gs://{BUCKET}/no/model"))


def test_the_size_limit_also_holds_in_the_bucket(onnx_folder: Path) -> None:
    pointer = f"gs://{BUCKET}/releases/huge/champion.json"
    atomic_write_bytes(pointer, b" " * ((1 << 20) + 2))
    with pytest.raises(ModelUnavailable, match="larger than"):
        resolve(pointer)


def test_a_server_that_is_not_mlflow_is_reported(storage: str) -> None:
    with pytest.raises(ModelUnavailable, match=r"responded with 4|did not respond like|no valid response"):
        resolve("models:/m@champion", TrackingServer(storage))


def test_an_unreachable_bucket_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    monkeypatch.setattr("functions.artifacts.TOTAL_SECONDS", 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(ModelUnavailable, match="cannot be read"):
            resolve("gs://anywhere/champion.json")
    storage_client.cache_clear()
