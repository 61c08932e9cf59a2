"""MLmodel files; text columns: their memory use and their conversion."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from functions.artifacts import ModelFolder
from functions.errors import ModelUnavailable
from functions.learned_inputs import learned_fields
from functions.mlmodel import TEXT_DTYPE, InputColumn, PredictionTarget, cast_column, read_description
from functions.model import Scorer
from functions.onnx_model import OnnxScorer, open_session
from functions.resolver import resolve
from functions.sklearn_model import DataFrameScorer, DictScorer

TEXTS = {"first": ["a", "b", "a"], "second": ["x", "x", "y"]}
MINUTES = [1.0, 2.0, 11.0]
"""1 for "a", 2 for "b", plus 10 for "y"."""


def text_pipeline(rows: Any) -> Any:
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [0, 1]))
    return make_pipeline(encoder, LinearRegression()).fit(rows, MINUTES)


def onnx_scorer(*widths: int) -> Scorer:
    """A graph with text inputs of these widths."""
    frame = pd.DataFrame(TEXTS)
    inputs = [(name, StringTensorType([None, width])) for name, width in zip(TEXTS, widths, strict=False)]
    graph = to_onnx(text_pipeline(frame if len(widths) > 1 else frame.to_numpy()), initial_types=inputs)
    return OnnxScorer(open_session(graph.SerializeToString()), tuple(TEXTS))


def frame_scorer(*, named: bool) -> Scorer:
    frame = pd.DataFrame(TEXTS)
    pipeline = text_pipeline(frame if named else frame.to_numpy())
    return DataFrameScorer(pipeline, tuple(InputColumn(name, "string") for name in TEXTS))


def dict_scorer() -> Scorer:
    pipeline = make_pipeline(DictVectorizer(), LinearRegression())
    pipeline.fit(pd.DataFrame(TEXTS).to_dict("records"), MINUTES)
    return DictScorer(pipeline, learned_fields([pipeline.steps[0][1]]))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: onnx_scorer(1, 1), id="ONNX, one input per column"),
        pytest.param(lambda: onnx_scorer(2), id="ONNX, one matrix"),
        pytest.param(lambda: frame_scorer(named=True), id="frame"),
        pytest.param(lambda: frame_scorer(named=False), id="array"),
        pytest.param(dict_scorer, id="dicts"),
    ],
)
def test_one_long_string_does_not_pad_the_others(make: Callable[[], Scorer]) -> None:
    """4,000 rows, one with 50,000 characters: 800 MB if all rows were padded to its length."""
    first, second = np.array(["a", "b"] * 2000, TEXT_DTYPE), np.array(["x", "x", "y", "y"] * 1000, TEXT_DTYPE)
    first[7] = "b" * 50_000
    table = {"first": first, "second": second}
    scorer = make()
    tracemalloc.start()
    try:
        numbers = scorer.score(table, 4000).reshape(-1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20e6
    assert numbers[:4] == pytest.approx([1, 2, 11, 12], abs=1e-4)
    assert 11.01 < numbers[7] < 11.99, "an unknown value is neither a nor b"


def test_one_long_string_in_an_example_does_not_pad_the_others(tmp_path: Path) -> None:
    texts = [["a"]] * 999 + [["a" * 50_000]]  # 200 MB if all were padded
    (tmp_path / "MLmodel").write_text(
        "flavors: {}\n"
        "saved_input_example_info: {type: dataframe, pandas_orient: split, artifact_path: example.json}\n"
    )
    (tmp_path / "example.json").write_text(json.dumps({"columns": ["text"], "data": texts}))
    example = read_description(ModelFolder(resolve(str(tmp_path)))).example["text"]
    assert example.tolist() == [text for (text,) in texts]
    assert example.nbytes < 10_000


@pytest.mark.parametrize(
    "column",
    [
        np.array([130, -1]),
        np.array([0.1, 1e22, np.nan]),
        np.array([0.1], np.float32),
        np.array([True, False]),
        np.array(["a", "日本"]),
        np.array(["a", 1.5, np.nan, None, np.float32(0.1)], np.object_),
    ],
)
def test_text_conversion_follows_numpys_formatting(column: np.ndarray[Any, Any]) -> None:
    texts = cast_column(column, TEXT_DTYPE)
    assert texts.dtype == TEXT_DTYPE
    assert texts.tolist() == column.astype(np.str_).tolist()


def described(folder: Path, content: str) -> PredictionTarget:
    (folder / "MLmodel").write_text(f"flavors: {{}}\n{content}")
    return read_description(ModelFolder(resolve(str(folder)))).target


@pytest.mark.parametrize(
    ("metadata", "as_table", "as_rides"),
    [
        ("null", ("prediction", ""), ("ride_duration", "minutes")),
        ("{source: crm}", ("prediction", ""), ("ride_duration", "minutes")),
        ("{target: null, unit: null}", ("prediction", ""), ("ride_duration", "minutes")),
        ("{target: fare, unit: dollars}", ("fare", "dollars"), ("fare", "dollars")),
        ("{target: fare}", ("fare", ""), ("fare", "")),
        ("{target: ride_duration}", ("ride_duration", ""), ("ride_duration", "minutes")),
        ("{unit: seconds}", ("prediction", "seconds"), ("ride_duration", "seconds")),
    ],
)
def test_only_a_model_of_rides_predicts_minutes_by_default(
    tmp_path: Path, metadata: str, as_table: tuple[str, str], as_rides: tuple[str, str]
) -> None:
    target = described(tmp_path, f"metadata: {metadata}\n")
    assert (target.target, target.unit) == as_table
    assert (target.of_rides().target, target.of_rides().unit) == as_rides


def test_a_tables_predictions_have_a_column_of_their_name() -> None:
    assert PredictionTarget("churn", "probability").column == "predicted_churn"
    assert PredictionTarget().column == "prediction"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ("{unit: 5}", "unit is 5, not text"),
        ("{target: [a]}", r"target is \['a'\], not text"),
        ('{minimum: "0", maximum: yes}', "minimum is '0', not a number; maximum is True, not a number"),
        ("{minimum: .nan}", "minimum is nan, but maximum is inf"),
        ("{minimum: 5, maximum: 1}", "minimum is 5, but maximum is 1"),
        ("{target: ride_id}", "target is 'ride_id', which cannot be the name"),
        ('{target: ""}', "target is '', which cannot be the name"),
    ],
)
def test_unusable_metadata_are_refused(tmp_path: Path, metadata: str, expected: str) -> None:
    with pytest.raises(ModelUnavailable, match=f"{expected}.*Log the model again"):
        described(tmp_path, f"metadata: {metadata}\n")
