"""Malicious models: code execution, memory exhaustion, and access to local files."""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import skops.io
from onnx import TensorProto, helper
from sklearn.neighbors import KNeighborsRegressor

from functions.errors import ModelUnavailable
from functions.mlmodel import MAX_EXAMPLE_ROWS
from functions.model import Model, load_model
from functions.resolver import resolve
from functions.rides import Ride
from tests.models import COLUMNS

Change = Callable[[bytes], bytes]


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self._proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._proof,)


def load(folder: Path) -> Model:
    return load_model(resolve(str(folder)))


def changed(source: Path, folder: Path, name: str, change: Change) -> Path:
    """A copy of a model's folder with one file changed."""
    shutil.copytree(source, folder)
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    return folder


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_unneeded_files_are_neither_read_nor_imported(onnx_folder: Path, tmp_path: Path) -> None:
    """Even if pickles are allowed and the loader module in MLmodel is importable."""
    folder, proof = tmp_path / "model", tmp_path / "proof"
    changed(
        onnx_folder,
        folder,
        "MLmodel",
        lambda text: text.replace(
            b"loader_module: mlflow.onnx", b"loader_module: malicious\n    code: code"
        ).replace(b"code: null", b"code: code"),
    )
    (folder / "model.pkl").write_bytes(pickle.dumps(Canary(proof)))
    (folder / "code").mkdir()
    (folder / "code" / "malicious.py").write_text(f"import pathlib; pathlib.Path({str(proof)!r}).touch()")
    script = f"""
import sys
folder, opened = {str(folder)!r}, set()
def watch(event, arguments):
    if event == "open" and str(arguments[0]).startswith(folder):
        opened.add(str(arguments[0])[len(folder) + 1 :])
sys.addaudithook(watch)
from functions.model import load_model
from functions.resolver import resolve
load_model(resolve(folder), allow_pickle=True)
print(sorted(opened), "malicious" in sys.modules)
"""
    environment = os.environ | {"PYTHONPATH": f"{folder / 'code'}:{Path.cwd()}"}
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert run.stdout.strip() == "['MLmodel', 'input_example.json', 'model.onnx'] False"
    assert not proof.exists()


def _pickle_in_a_zip(pickled: bytes) -> bytes:
    return zipped({"schema.json": pickled, "model.pkl": pickled})


def _pickle_in_an_array(pickled: bytes) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer,
        {"descr": "|O", "fortran_order": False, "shape": (1,)},  # whose content NumPy would unpickle
    )
    node = {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "__id__": 1}
    schema = node | {"type": "numpy", "file": "a.npy", "protocol": skops.io._protocol.PROTOCOL}
    return zipped({"schema.json": json.dumps(schema).encode(), "a.npy": buffer.getvalue() + pickled})


@pytest.mark.parametrize("embed", [bytes, _pickle_in_a_zip, _pickle_in_an_array])
def test_a_pickle_in_a_skops_file_is_not_executed(course_folder: Path, tmp_path: Path, embed: Change) -> None:
    proof = tmp_path / "proof"
    malicious = embed(pickle.dumps(Canary(proof)))
    with pytest.raises(ModelUnavailable, match="the skops model cannot be loaded"):
        load(changed(course_folder, tmp_path / "model", "model.skops", lambda _: malicious))
    assert not proof.exists()
    pickle.loads(pickle.dumps(Canary(proof)))
    assert proof.exists(), "the test would notice an execution"


def _compressed(content: bytes) -> bytes:
    return zipped(unzipped(content) | {"zeros.npy": bytes(100 << 20)}, zipfile.ZIP_DEFLATED)


def _compressed_with_a_false_size(content: bytes) -> bytes:
    size = (100 << 20).to_bytes(4, "little")
    return _compressed(content).replace(size, (100).to_bytes(4, "little"))


def _one_array_many_times(content: bytes) -> bytes:
    files = unzipped(content)
    schema = json.loads(files["schema.json"])
    array = {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "numpy"}
    schema["content"]["content"]["verbose"] = {
        "__class__": "list",
        "__module__": "builtins",
        "__loader__": "ListNode",
        "content": [array | {"file": "zeros.npy"}] * 2000,
    }
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(1 << 17))
    return zipped(files | {"schema.json": json.dumps(schema).encode(), "zeros.npy": buffer.getvalue()})


def _many_entries(content: bytes) -> bytes:
    return zipped(unzipped(content) | {str(number): b"" for number in range(100_001)})


def _huge_schema(content: bytes) -> bytes:
    return zipped(unzipped(content) | {"schema.json": b" " * (33 << 20)})


def _deep_schema(content: bytes) -> bytes:
    return zipped(unzipped(content) | {"schema.json": b"[" * 100_000})


def _deep_tree(content: bytes) -> bytes:
    files = unzipped(content)
    level = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode"}
    tree: dict[str, Any] = level | {"content": []}
    for _ in range(300):
        tree = level | {"content": [tree]}
    return zipped(files | {"schema.json": json.dumps(json.loads(files["schema.json"]) | tree).encode()})


def _sparse(_: bytes) -> bytes:
    from scipy.sparse import csr_matrix

    return skops.io.dumps(KNeighborsRegressor().fit(csr_matrix(np.eye(9)), np.zeros(9)))


@pytest.mark.parametrize(
    ("bomb", "expected"),
    [
        (_compressed, "is compressed"),
        (_compressed_with_a_false_size, "is compressed"),
        (_one_array_many_times, "unpacks to more than"),
        (_many_entries, "more than 100000 entries"),
        (_huge_schema, "schema is larger than"),
        (_deep_schema, "cannot be loaded: maximum recursion depth"),
        (_deep_tree, "cannot be loaded: maximum recursion depth"),
        (_sparse, "sparse matrix"),
    ],
)
def test_a_skops_file_cannot_exhaust_memory(
    course_folder: Path, tmp_path: Path, bomb: Change, expected: str
) -> None:
    folder = changed(course_folder, tmp_path / "model", "model.skops", bomb)
    tracemalloc.start()
    try:
        with pytest.raises(ModelUnavailable, match=expected):
            load(folder)
        assert tracemalloc.get_traced_memory()[1] < 5 * (folder / "model.skops").stat().st_size + (10 << 20)
    finally:
        tracemalloc.stop()


def _billion_laughs(text: bytes) -> bytes:
    lines = ["laugh0: &l0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"laugh{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join([*lines, "run_id: *l9", ""]).encode() + text


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        (_billion_laughs, "aliases"),
        (lambda text: b"deep: " + b"[" * 300_000 + b"]" * 300_000 + b"\n" + text, "more than 50 levels"),
        (lambda text: b"deep: " + b"{a: " * 100_000 + b"}" * 100_000 + b"\n" + text, "more than 50 levels"),
        (lambda text: text + b"#" * (1 << 20), "larger than"),
        (lambda text: text.replace(b"inputs: '[", b"inputs: '" + b"[" * 100_000), "cannot be parsed"),
        (lambda text: text.replace(b"data: model.onnx", b"data: {}"), "cannot be read"),
        (lambda text: b"!!python/object/apply:os.getcwd []", "cannot be parsed"),
    ],
)
def test_a_large_or_nested_mlmodel_file_is_rejected(
    onnx_folder: Path, tmp_path: Path, attack: Change, expected: str
) -> None:
    with pytest.raises(ModelUnavailable, match=expected):
        load(changed(onnx_folder, tmp_path / "model", "MLmodel", attack))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"columns": ["a"], "data": [' + b"[1]," * (1 << 20) + b"[1]]}", "larger than"),
        (b"[" * 100_000, "cannot be parsed"),
        (b'{"columns": ["a", "b"], "data": [[1]]}', "not as MLflow writes"),
        (b'{"columns": ["a"], "data": [[' + b"9" * 5000 + b"]]}", "not as MLflow writes"),
    ],
)
def test_an_invalid_input_example_is_rejected(
    onnx_folder: Path, tmp_path: Path, content: bytes, expected: str
) -> None:
    with pytest.raises(ModelUnavailable, match=expected):
        load(changed(onnx_folder, tmp_path / "model", "input_example.json", lambda _: content))


def test_only_the_first_rows_of_a_long_input_example_are_used(onnx_folder: Path, tmp_path: Path) -> None:
    def lengthen(content: bytes) -> bytes:
        example = json.loads(content)
        # The last row is invalid, which would cause an error if it were read.
        example["data"] = [example["data"][0]] * MAX_EXAMPLE_ROWS + [["no number"] * 4]
        return json.dumps(example).encode()

    folder = changed(onnx_folder, tmp_path / "model", "input_example.json", lengthen)
    assert load(folder).predict_rides([Ride(130, 205, 3.66)])


def graph(nodes: list[Any], *weights: TensorProto) -> bytes:
    """A graph from the matrix x of `COLUMNS` to y."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    values[0] = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, len(COLUMNS)])
    proto = helper.make_graph(nodes, "g", values[:1], values[1:], list(weights))
    content: bytes = helper.make_model(
        proto, opset_imports=[helper.make_opsetid("", 15)], ir_version=8
    ).SerializeToString()
    return content


def weights_in(location: str) -> bytes:
    """A matrix product with its weights in a file."""
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 4])
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    return graph([helper.make_node("MatMul", ["x", "w"], ["y"])], weights)


def test_a_graph_cannot_read_local_files(
    onnx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_bytes(np.arange(16, dtype=np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    assert onnxruntime.InferenceSession(weights_in("secret")).get_inputs(), "readable by default"
    for number, path in enumerate(["secret", "./secret", "../secret", str(tmp_path / "secret"), "../zero"]):
        folder = changed(onnx_folder, tmp_path / str(number), "model.onnx", lambda _: weights_in(path))  # noqa: B023
        with pytest.raises(ModelUnavailable, match=r"weights in a second file.*save_as_external_data=False"):
            load(folder)


def _in_onnxruntimes_format(content: bytes) -> bytes:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = "optimized.ort"
    options.log_severity_level = 3
    onnxruntime.InferenceSession(content, options)
    return Path("optimized.ort").read_bytes()


def _huge(_: bytes) -> bytes:
    shape = helper.make_tensor("s", TensorProto.INT64, [3], [1 << 30, 1 << 20, len(COLUMNS)])
    return graph([helper.make_node("Expand", ["x", "s"], ["y"])], shape)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_in_onnxruntimes_format, "cannot be loaded.*protobuf parsing failed"),
        (lambda _: b"\x00" * 1000, "cannot be loaded"),
        (lambda _: graph([helper.make_node("NoSuchOperator", ["x"], ["y"])]), "cannot be loaded"),
        (_huge, "failed"),
    ],
)
def test_an_invalid_graph_is_rejected(
    onnx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelUnavailable, match=f"(?s){expected}"):
        load(changed(onnx_folder, tmp_path / "model", "model.onnx", change))


@pytest.mark.parametrize(
    "path", ["../onnx/model.onnx", "/etc/passwd", "a\\b", "a\\0", "%2e%2e/model.onnx", "\\ud800", ""]
)
@pytest.mark.parametrize(
    ("name", "key"), [("onnx_folder", b"data: model.onnx"), ("skops_folder", b"pickled_model: model.skops")]
)
def test_mlmodel_cannot_name_files_outside_its_folder(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, key: bytes, path: str
) -> None:
    field, _, _ = key.partition(b" ")
    line = field + b' "' + path.encode() + b'"'
    folder = changed(
        request.getfixturevalue(name), tmp_path / "model", "MLmodel", lambda text: text.replace(key, line)
    )
    with pytest.raises(
        ModelUnavailable, match=r"is outside|must not contain|percent-encoded|cannot be parsed"
    ):
        load(folder)


def test_an_input_example_must_be_in_the_models_folder(onnx_folder: Path, tmp_path: Path) -> None:
    folder = changed(
        onnx_folder,
        tmp_path / "model",
        "MLmodel",
        lambda text: text.replace(b"artifact_path: input", b"artifact_path: ../onnx/input"),
    )
    with pytest.raises(ModelUnavailable, match="is outside"):
        load(folder)
