import hashlib
from pathlib import Path

import pytest

from functions.artifacts import ModelFolder, read_file
from functions.errors import ModelUnavailable
from functions.releases import Release, ReleasedFile


def release(folder: Path, *files: ReleasedFile) -> Release:
    return Release(name="m", version="1", location=str(folder), files=files)


def stock(folder: Path, name: str) -> ReleasedFile:
    content = (folder / name).read_bytes()
    return ReleasedFile(name, len(content), hashlib.sha256(content).hexdigest())


def test_a_released_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    assert ModelFolder(release(tmp_path, stock(tmp_path, "model.onnx"))).read("model.onnx") == b"graph"


@pytest.mark.parametrize("content", [b"grapH", b"grap", b"graph and more", b""])
def test_a_file_that_differs_from_the_release_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    folder = ModelFolder(release(tmp_path, stock(tmp_path, "model.onnx")))
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ModelUnavailable, match=r"not the file that was released|larger"):
        folder.read("model.onnx")


def test_a_file_that_was_not_released_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    with pytest.raises(ModelUnavailable, match="not part of the release"):
        ModelFolder(release(tmp_path, stock(tmp_path, "a"))).read("b")


@pytest.mark.parametrize("path", ["../secret", "a/../../secret", "/etc/passwd"])
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(ModelUnavailable, match="leads out of"):
        read_file(str(tmp_path), path, 100)


def test_a_file_has_a_largest_size(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_file(f"file://{tmp_path}", "a", 5) == b"12345"
    with pytest.raises(ModelUnavailable, match="larger than"):
        read_file(str(tmp_path), "a", 4)


def test_a_missing_file_and_a_foreign_scheme_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="No such file"):
        read_file(str(tmp_path), "a", 1)
    with pytest.raises(ModelUnavailable, match="--default-artifact-root gs://"):
        read_file("mlflow-artifacts:/1/models", "MLmodel", 1)
    with pytest.raises(ModelUnavailable, match="not in reach"):
        read_file("s3://bucket/models", "MLmodel", 1)


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "my models 100%"
    folder.mkdir()
    (folder / "a").write_bytes(b"1")
    assert read_file(str(folder), "a", 1) == read_file(folder.as_uri(), "a", 1) == b"1"
