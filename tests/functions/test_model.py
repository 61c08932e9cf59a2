import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from functions.errors import ImplausiblePrediction, ModelUnavailable
from functions.features import ride_columns
from functions.mlmodel import InputColumn, PredictionTarget
from functions.model import Model, load_model, load_table_model
from functions.releases import Release, ReleasedFile
from functions.resolver import resolve
from functions.rides import Ride
from functions.sklearn_model import DataFrameScorer
from jobs.registry.model_store import build_manifest
from tests.models import (
    course_pipeline,
    save_bounded,
    save_course_onnx,
    save_onnx,
    save_onnx_with_truth,
    some_rides,
    write_pipeline,
)

TEXT = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "is_json": True}
"""The skops schema of a string."""


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


def test_a_pickle_is_rejected_with_the_reason(pickle_folder: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"runs any code.*ALLOW_PICKLE=true"):
        load(pickle_folder)


def test_a_pickle_is_served_if_allowed(pickle_folder: Path, skops_folder: Path) -> None:
    rides = some_rides(50)
    allowed = load(pickle_folder, allow_pickle=True)
    assert allowed.predict(rides).tolist() == load(skops_folder).predict(rides).tolist()


def test_a_pickle_declared_as_skops_is_not_executed(pickle_folder: Path, tmp_path: Path) -> None:
    for source in pickle_folder.iterdir():
        text = source.read_bytes()
        if source.name == "MLmodel":
            text = text.replace(b"serialization_format: cloudpickle", b"serialization_format: skops")
        (tmp_path / source.name).write_bytes(text)
    with pytest.raises(ModelUnavailable, match="skops model cannot be loaded"):
        load(tmp_path)


def test_a_model_outside_a_registry_has_its_own_id_as_the_version(onnx_folder: Path) -> None:
    assert load(onnx_folder).version == "onnx"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"metadata": {"target": "ride_duration", "maximum": 1.0}}, "self-test.*it must be -inf to 1"),
        ({"signature": None, "input_example": None}, "supported features|columns"),
    ],
)
def test_a_model_that_fails_its_self_test_is_rejected(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ModelUnavailable, match=expected):
        load(save_onnx(tmp_path / "model", **changes))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda content: content[: len(content) // 2], ""),
        (lambda _: b"\xff\x00", ""),
        (lambda _: b"", "the file is empty"),
        (lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "Git LFS's pointer"),
        (lambda _: b"\n<!DOCTYPE html><title>Sign in</title>", "a login page saved under its name"),
    ],
)
@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("onnx_folder", "MLmodel"),
        ("onnx_folder", "model.onnx"),
        ("skops_folder", "model.skops"),
        ("pickle_folder", "model.pkl"),
    ],
)
def test_a_damaged_file_is_named_with_the_cause_and_the_remedy(
    request: pytest.FixtureRequest, tmp_path: Path, folder: str, name: str, damage: Any, expected: str
) -> None:
    for source in request.getfixturevalue(folder).iterdir():
        content = source.read_bytes()
        (tmp_path / source.name).write_bytes(damage(content) if source.name == name else content)
    message = rf"(?s)cannot be loaded: .*{expected}.*\({tmp_path}/{name}\)\. Compare .* promote that$"
    with pytest.raises(ModelUnavailable, match=message):
        load(tmp_path, allow_pickle=True)


def with_wrong_hash(folder: Path, path: str) -> Release:
    """A release of a folder that lists one file with a wrong size and hash."""
    files = [file for file in build_manifest(str(folder)) if file.path != path]
    return Release(
        name="m", version="1", location=str(folder), files=(*files, ReleasedFile(path, 5, "00" * 32))
    )


@pytest.mark.parametrize("path", ["MLmodel", "model.onnx", "input_example.json"])
def test_a_model_with_a_changed_file_is_rejected(onnx_folder: Path, path: str) -> None:
    with pytest.raises(ModelUnavailable, match=path):
        load_model(with_wrong_hash(onnx_folder, path))


def test_changes_to_unused_files_do_not_matter(skops_folder: Path, tmp_path: Path) -> None:
    without_example = save_bounded(tmp_path / "model")
    for folder, path in (
        (skops_folder, "model.onnx"),
        (without_example, "input_example.json"),
        (without_example, "conda.yaml"),
    ):
        assert load_model(with_wrong_hash(folder, path)).version == "1"


def test_a_signature_with_an_unsupported_feature_is_rejected(onnx_folder: Path, tmp_path: Path) -> None:
    for source in onnx_folder.iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes().replace(b"known_distance", b"fare"))
    with pytest.raises(ModelUnavailable, match="needs fare; the supported features are"):
        load(tmp_path)


def test_the_model_names_its_target(tmp_path: Path) -> None:
    folder = save_onnx(tmp_path / "cost", metadata={"target": "ride_cost", "unit": "dollars"})
    (prediction,) = load(folder).predict_rides([Ride(130, 205, 3.66)])
    assert prediction.event(1)["model"] == "ride_cost_prediction_model"


def test_serving_onnx_imports_no_training_library(onnx_folder: Path) -> None:
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
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={})
    assert run.stdout.strip() == "[]"


def test_onnx_with_one_input_per_column_is_served(tmp_path: Path) -> None:
    """As skl2onnx converts a pipeline over a data frame: zones as text, the distance as a number."""
    course = load(save_course_onnx(tmp_path / "course"))
    short, long = course.predict(ride_columns([Ride(130, 205, 1.0), Ride(130, 205, 9.0)]))
    assert long - short == pytest.approx(20, abs=1)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_importing_main_starts_no_threads() -> None:
    script = "import main, os; print(len(os.listdir('/proc/self/task')))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={})
    assert run.stdout.strip() == "1", "OpenBLAS's threads would spin"


def test_onnx_accepts_booleans(tmp_path: Path) -> None:
    """A model of a table: a number, plus 10 if a flag is true."""
    table = {"number": np.array([1.0, 2.0]), "truth": np.array([True, False])}
    model = load_table_model(resolve(str(save_onnx_with_truth(tmp_path / "truth"))))
    assert model.types == {"number": "double", "truth": "boolean"}
    assert model.predict_table(table, 2).tolist() == [11, 2]
    as_scored = {name: column.astype(np.float64) for name, column in table.items()}
    assert model.predict_table(as_scored, 2).tolist() == [11, 2]


def test_a_wrong_number_of_predictions_is_an_error() -> None:
    scorer = Mock(columns=("number",), score=lambda _table, rows: np.zeros(rows - 1))
    model = Model(Release(name="m", version="1", location="", files=()), PredictionTarget(), scorer)
    with pytest.raises(ModelUnavailable, match="version 1 returned 2 numbers for 3 rows"):
        model.score({"number": np.zeros(3)}, 3)


def test_onnxruntime_sends_no_telemetry(tmp_path: Path) -> None:
    script = "import functions.onnx_model"
    subprocess.run([sys.executable, "-c", script], check=True, env={"HOME": str(tmp_path)})
    assert list(tmp_path.rglob("*")) == [], "its telemetry writes a device id to HOME"


def test_a_skops_file_cannot_start_programs(course_folder: Path, tmp_path: Path) -> None:
    """scikit-learn has a module that imports subprocess.check_output, which a skops file can name."""
    folder, proof = tmp_path / "malicious", tmp_path / "proof"
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


def test_an_implausible_prediction_is_an_error_of_the_ride(tmp_path: Path) -> None:
    bounded = load(save_bounded(tmp_path / "model"))
    assert bounded.predict_rides([Ride(130, 205, 2.0)])[0].value < 30
    with pytest.raises(ImplausiblePrediction, match="which is implausible: it must be 0 to 30"):
        bounded.predict_rides([Ride(130, 205, 2.0), Ride(130, 205, 19.0)])


DISTANCES = np.arange(1.0, 21.0)
RECORDS = [{"PULocationID": str(n), "trip_distance": miles} for n, miles in enumerate(DISTANCES, 100)]
FRAME = pd.DataFrame({"trip_distance": DISTANCES})


def test_the_courses_forest_is_logged_with_the_type_that_mlflow_names_and_served(tmp_path: Path) -> None:
    forest = make_pipeline(DictVectorizer(), RandomForestRegressor(5, n_jobs=-1)).fit(RECORDS, 3 * DISTANCES)
    with pytest.raises(MlflowException, match=r"skops_trusted_types.*\['sklearn\.tree\._tree\.Tree'\]"):
        mlflow.sklearn.save_model(forest, tmp_path / "refused", pip_requirements=[])
    mlflow.sklearn.save_model(
        forest, tmp_path / "model", skops_trusted_types=["sklearn.tree._tree.Tree"], pip_requirements=[]
    )
    rides = ride_columns([Ride(110, 205, 11.0), Ride(7, 205, 2.5)])
    own = forest.predict([{"PULocationID": "110", "trip_distance": 11.0}, {"trip_distance": 2.5}])
    np.testing.assert_allclose(load(tmp_path / "model").predict(rides), own, rtol=1e-12)


def test_a_dict_vectorizer_that_learned_other_fields_is_refused(tmp_path: Path) -> None:
    records = [{"PUlocationID": one["PULocationID"], "hour": 8, **one} for one in RECORDS]
    pipeline = make_pipeline(DictVectorizer(), LinearRegression()).fit(records, DISTANCES)
    folder = write_pipeline(tmp_path / "model", pipeline, {})
    with pytest.raises(ModelUnavailable, match=r"needs PUlocationID, hour; the supported features are"):
        load(folder)
    assert load_table_model(resolve(str(folder))).types == {
        "PULocationID": "string",
        "PUlocationID": "string",
        "hour": "double",
        "trip_distance": "double",
    }


@pytest.mark.parametrize(
    ("pipeline", "columns", "expected"),
    [
        (
            make_pipeline(FeatureHasher(8), LinearRegression()).fit(RECORDS, DISTANCES),
            {},
            "starts with a FeatureHasher",
        ),
        (
            LinearRegression().fit(FRAME, DISTANCES),
            {},
            r"without a signature.*make_pipeline\(vectorizer, model\)",
        ),
        (
            LinearRegression().fit(FRAME, DISTANCES),
            {"trip_distance": "datetime"},
            "unsupported types: trip_distance as datetime. Supported are float, double",
        ),
        (LinearRegression().fit(FRAME, DISTANCES), {"trip_distance": "long"}, "takes trip_distance as long"),
        (
            LinearRegression().fit(FRAME, DISTANCES),
            {"trip_distance": "boolean"},
            "takes trip_distance as boolean",
        ),
        (
            LinearRegression().fit(FRAME.rename(columns=lambda _: "PU_DO"), DISTANCES),
            {"PU_DO": "double"},
            "takes PU_DO as double",
        ),
        (
            LinearRegression().fit(FRAME.rename(columns=lambda _: "pickup_minute"), DISTANCES),
            {"pickup_minute": "integer"},
            "takes pickup_minute as integer, which not all rides' values fit into",
        ),
    ],
)
def test_a_model_that_cannot_be_asked_correctly_is_refused(
    tmp_path: Path, pipeline: Any, columns: dict[str, str], expected: str
) -> None:
    with pytest.raises(ModelUnavailable, match=expected):
        load(write_pipeline(tmp_path / "model", pipeline, columns))


@pytest.mark.parametrize(
    ("minutes", "metadata", "refused"),
    [
        (5 * DISTANCES, None, False),
        (np.log(5 * DISTANCES), None, True),
        (5 * DISTANCES / 60, None, True),
        (5 * DISTANCES * 60, None, True),
        (np.log(5 * DISTANCES), {"target": "log_duration", "unit": "log minutes"}, False),
        (5 * DISTANCES * 60, {"unit": "seconds"}, False),
    ],
)
def test_what_cannot_be_minutes_is_not_taken_for_minutes(
    tmp_path: Path, minutes: Any, metadata: dict[str, str] | None, refused: bool
) -> None:
    linear = LinearRegression().fit(FRAME, minutes)
    folder = write_pipeline(tmp_path / "model", linear, {"trip_distance": "double"}, metadata)
    if refused:
        with pytest.raises(ModelUnavailable, match=r"taken for minutes.*20 miles.*log1p.*metadata="):
            load(folder)
    else:
        own = linear.predict(pd.DataFrame({"trip_distance": [7.0]})).tolist()
        assert load(folder).predict(ride_columns([Ride(1, 2, 7.0)])).tolist() == own


def test_a_logarithm_that_the_model_itself_reverts_is_minutes(tmp_path: Path) -> None:
    model = TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1)
    model.fit(FRAME, 5 * DISTANCES)
    loaded = load(write_pipeline(tmp_path / "model", model, {"trip_distance": "double"}))
    own = model.predict(pd.DataFrame({"trip_distance": [7.0]}))
    assert loaded.predict(ride_columns([Ride(1, 2, 7.0)])).tolist() == own.tolist()


def test_probabilities_are_not_replaced_by_labels(tmp_path: Path) -> None:
    classifier = LogisticRegression().fit(FRAME, DISTANCES > 10)
    folder = write_pipeline(
        tmp_path / "model", classifier, {"trip_distance": "double"}, predict_fn="predict_proba"
    )
    with pytest.raises(ModelUnavailable, match=r"pyfunc_predict_fn='predict_proba'.*own-model"):
        load_table_model(resolve(str(folder)))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (np.array(["5.0", "6.0"]), "returned <U3, not numbers"),
        (np.array(["5.0", 6.0], object), "returned object, not numbers"),
        (np.array([True, False]), "returned bool, not numbers"),
        (np.array([1j, 2j]), "returned complex128, not numbers"),
        (np.array([60, 90], "timedelta64[s]"), "not numbers"),
        (np.ones((2, 2)), "returned 4 numbers for 2 rows"),
        (np.array(5.0), "returned 1 numbers for 2 rows"),
    ],
)
def test_what_is_not_one_number_per_row_is_an_error(result: Any, expected: str) -> None:
    scorer = Mock(columns=("number",), score=lambda _table, _rows: result)
    model = Model(Release(name="m", version="1", location="", files=()), PredictionTarget(), scorer)
    with pytest.raises(ModelUnavailable, match=expected):
        model.score({"number": np.zeros(2)}, 2)


@pytest.mark.parametrize("result", [np.array([[5], [6]]), np.array([5.0, 6.0], np.float32)])
def test_columns_and_whole_numbers_are_numbers(result: Any) -> None:
    scorer = Mock(columns=("number",), score=lambda _table, _rows: result)
    model = Model(Release(name="m", version="1", location="", files=()), PredictionTarget(), scorer)
    assert model.score({"number": np.zeros(2)}, 2).tolist() == [5.0, 6.0]


def test_a_masked_prediction_is_not_a_number() -> None:
    masked = Mock(spec=["predict"], predict=lambda _: np.ma.array([5.0, 6.0], mask=[False, True]))
    scorer = DataFrameScorer(masked, [InputColumn("trip_distance", "double")])
    assert np.isnan(scorer.score({"trip_distance": np.ones(2)}, 2)).tolist() == [False, True]


def test_a_pickle_that_needs_a_missing_package_says_so(pickle_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(pickle_folder, tmp_path / "model")
    (tmp_path / "model" / "model.pkl").write_bytes(b"cno_such_package\nModel\n.")
    with pytest.raises(ModelUnavailable, match=r"not installed here .*no_such_package.*: install it"):
        load(tmp_path / "model", allow_pickle=True)


def test_only_rides_are_predicted_in_minutes_by_default(tmp_path: Path) -> None:
    of_table = load_table_model(resolve(str(save_onnx_with_truth(tmp_path / "truth"))))
    assert (of_table.target.target, of_table.target.unit) == ("prediction", "")
    of_rides = load_table_model(resolve(str(write_pipeline(tmp_path / "course", course_pipeline(), {}))))
    assert (of_rides.target.target, of_rides.target.unit) == ("ride_duration", "minutes")
