import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from functions.errors import ImplausiblePrediction, ModelUnavailable
from functions.features import ride_columns
from functions.mlmodel import Target
from functions.model import Model, load_model, load_table_model
from functions.releases import Release, ReleasedFile
from functions.resolver import resolve
from functions.rides import Ride
from jobs.registry.model_store import take_stock
from tests.models import save_bounded, save_course_onnx, save_onnx, save_onnx_with_truth, some_rides

TEXT = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "is_json": True}
"""How skops writes a string."""


def load(folder: Path, **settings: Any) -> Any:
    return load_model(resolve(str(folder)), **settings)


def test_onnx_gives_the_same_bits_alone_and_together(onnx_folder: Path) -> None:
    model = load(onnx_folder)
    rides = some_rides(300)
    alone = [model.predict(type(rides)(*(column[[n]] for column in rides))).item() for n in range(300)]
    assert model.predict(rides).tolist() == alone


def test_scikit_learn_from_skops_agrees_with_onnx(onnx_folder: Path, skops_folder: Path) -> None:
    rides = some_rides(300)
    difference = load(onnx_folder).predict(rides) - load(skops_folder).predict(rides)
    assert np.abs(difference).max() < 0.001


def test_the_courses_model_without_a_signature_is_served(course_folder: Path) -> None:
    model = load(course_folder)
    short, long = model.predict(ride_columns([Ride(130, 205, 1.0), Ride(130, 205, 9.0)]))
    assert long - short == pytest.approx(20, abs=1)


def test_a_pickle_is_refused_with_the_reason(pickle_folder: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"runs whatever code.*ALLOW_PICKLE=true"):
        load(pickle_folder)


def test_a_pickle_is_served_where_that_is_allowed(pickle_folder: Path, skops_folder: Path) -> None:
    rides = some_rides(50)
    allowed = load(pickle_folder, allow_pickle=True)
    assert allowed.predict(rides).tolist() == load(skops_folder).predict(rides).tolist()


def test_a_pickle_named_as_skops_is_not_run(pickle_folder: Path, tmp_path: Path) -> None:
    for source in pickle_folder.iterdir():
        text = source.read_bytes()
        if source.name == "MLmodel":
            text = text.replace(b"serialization_format: cloudpickle", b"serialization_format: skops")
        (tmp_path / source.name).write_bytes(text)
    with pytest.raises(ModelUnavailable, match="skops model cannot be loaded"):
        load(tmp_path)


def test_the_version_is_the_registrys_else_the_models_own(onnx_folder: Path) -> None:
    assert load(onnx_folder).version == "onnx"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"metadata": {"target": "ride_duration", "maximum": 1.0}}, "fails its trial.*it must be -inf to 1"),
        ({"signature": None, "input_example": None}, "no ride has|columns"),
    ],
)
def test_a_model_that_cannot_be_right_is_refused(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ModelUnavailable, match=sentence):
        load(save_onnx(tmp_path / "model", **changes))


@pytest.mark.parametrize("name", ["MLmodel", "model.onnx"])
@pytest.mark.parametrize(
    "damage", [lambda content: content[: len(content) // 2], lambda _: b"", lambda _: b"\xff\x00"]
)
def test_a_damaged_file_is_refused(onnx_folder: Path, tmp_path: Path, name: str, damage: Any) -> None:
    for source in onnx_folder.iterdir():
        content = source.read_bytes()
        (tmp_path / source.name).write_bytes(damage(content) if source.name == name else content)
    with pytest.raises(ModelUnavailable):
        load(tmp_path)


def spoilt(folder: Path, path: str) -> Release:
    """A release of a folder that lists a file with a digest it does not have."""
    files = [file for file in take_stock(str(folder)) if file.path != path]
    return Release(
        name="m", version="1", location=str(folder), files=(*files, ReleasedFile(path, 5, "00" * 32))
    )


@pytest.mark.parametrize("path", ["MLmodel", "model.onnx", "input_example.json"])
def test_a_needed_file_that_is_not_as_released_is_refused(onnx_folder: Path, path: str) -> None:
    with pytest.raises(ModelUnavailable, match=path):
        load_model(spoilt(onnx_folder, path))


def test_a_file_that_is_not_needed_refuses_nothing(skops_folder: Path, tmp_path: Path) -> None:
    without_example = save_bounded(tmp_path / "model")
    for folder, path in (
        (skops_folder, "model.onnx"),
        (without_example, "input_example.json"),
        (without_example, "conda.yaml"),
    ):
        assert load_model(spoilt(folder, path)).version == "1"


def test_a_signature_that_asks_for_what_no_ride_has_is_refused(onnx_folder: Path, tmp_path: Path) -> None:
    for source in onnx_folder.iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes().replace(b"known_distance", b"fare"))
    with pytest.raises(ModelUnavailable, match="asks for fare, which no ride has"):
        load(tmp_path)


def test_another_target_is_named_by_the_model(tmp_path: Path) -> None:
    folder = save_onnx(tmp_path / "cost", metadata={"target": "ride_cost", "unit": "dollars"})
    (prediction,) = load(folder).predict_rides([Ride(130, 205, 3.66)])
    assert prediction.event(1)["model"] == "ride_cost_prediction_model"


def test_the_usual_path_imports_no_training_library(onnx_folder: Path) -> None:
    script = f"""
import sys
import main
from functions.features import ride_columns
from functions.model import load_model, load_table_model
from functions.resolver import resolve
from functions.rides import Ride
load_model(resolve({str(onnx_folder)!r})).predict(ride_columns([Ride(130, 205, 3.66)]))
print(sorted({{"mlflow", "sklearn", "pandas", "pyarrow", "scipy", "matplotlib"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={})
    assert done.stdout.strip() == "[]"


def test_onnx_with_one_input_a_column_is_served(tmp_path: Path) -> None:
    """As skl2onnx converts a pipeline over a frame: zones as text, the distance as a number."""
    course = load(save_course_onnx(tmp_path / "course"))
    short, long = course.predict(ride_columns([Ride(130, 205, 1.0), Ride(130, 205, 9.0)]))
    assert long - short == pytest.approx(20, abs=1)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux tells threads")
def test_an_import_leaves_no_thread_behind() -> None:
    script = "import main, os; print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={})
    assert done.stdout.strip() == "1", "OpenBLAS's would turn idly"


def test_onnx_takes_truth_values(tmp_path: Path) -> None:
    """A model of any table: a number, and ten more where something is true."""
    table = {"number": np.array([1.0, 2.0]), "truth": np.array([True, False])}
    model = load_table_model(resolve(str(save_onnx_with_truth(tmp_path / "truth"))))
    assert model.types == {"number": "double", "truth": "boolean"}
    assert model.predict_table(table, 2).tolist() == [11, 2]
    as_scored = {name: column.astype(np.float64) for name, column in table.items()}
    assert model.predict_table(as_scored, 2).tolist() == [11, 2]


def test_a_model_that_gives_too_few_numbers_is_told_of_rows() -> None:
    scorer = Mock(columns=("number",), score=lambda _table, rows: np.zeros(rows - 1))
    model = Model(Release(name="m", version="1", location="", files=()), Target(), scorer)
    with pytest.raises(ModelUnavailable, match="version 1 gave 2 numbers for 3 rows"):
        model.score({"number": np.zeros(3)}, 3)


def test_onnxruntime_reports_to_nobody(tmp_path: Path) -> None:
    script = "import functions.onnx_model"
    subprocess.run([sys.executable, "-c", script], check=True, env={"HOME": str(tmp_path)})
    assert list(tmp_path.rglob("*")) == [], "its telemetry begins with a device id in HOME"


def test_a_skops_file_cannot_have_programs_started(course_folder: Path, tmp_path: Path) -> None:
    """One of scikit-learn's own modules imports subprocess.check_output, which a skops file can name."""
    folder, proof = tmp_path / "evil", tmp_path / "proof"
    shutil.copytree(course_folder, folder)
    call = {"__class__": "check_output", "__module__": "sklearn.utils._testing", "__loader__": "ListNode"}
    call["content"] = [{**TEXT, "content": json.dumps(word)} for word in ("touch", str(proof))]  # type: ignore[assignment]
    with (
        zipfile.ZipFile(course_folder / "model.skops") as good,
        zipfile.ZipFile(folder / "model.skops", "w") as bad,
    ):
        for name in good.namelist():
            content = good.read(name)
            if name == "schema.json":
                schema = json.loads(content)
                schema["content"]["content"]["verbose"] = call
                content = json.dumps(schema).encode()
            bad.writestr(name, content)
    with pytest.raises(ModelUnavailable, match=r"sklearn\.utils\._testing\.check_output"):
        load(folder)
    assert not proof.exists()


def test_an_implausible_number_is_about_the_ride(tmp_path: Path) -> None:
    bounded = load(save_bounded(tmp_path / "model"))
    assert bounded.predict_rides([Ride(130, 205, 2.0)])[0].value < 30
    with pytest.raises(ImplausiblePrediction, match="which cannot be: it must be 0 to 30"):
        bounded.predict_rides([Ride(130, 205, 2.0), Ride(130, 205, 19.0)])
