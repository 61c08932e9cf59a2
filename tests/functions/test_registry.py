from pathlib import Path

import pytest

from functions.errors import ModelUnavailable
from functions.registry import resolve
from functions.releases import Release, ReleasedFile, encode_release

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
    "content", [b"", b"{}", b"[]", b"\xff", b'{"name": 1}', encode_release(RELEASE)[:-40]]
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
