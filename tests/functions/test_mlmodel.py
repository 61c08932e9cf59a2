"""Columns of text: what they take, and that they are what they were."""

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
from functions.mlmodel import TEXT, Column, as_type, describe
from functions.model import Scorer
from functions.onnx_model import OnnxScorer, open_session
from functions.resolver import resolve
from functions.sklearn_model import COURSE_COLUMNS, DictScorer, FrameScorer

TEXTS = {"first": ["a", "b", "a"], "second": ["x", "x", "y"]}
MINUTES = [1.0, 2.0, 11.0]
"""One for "a", two for "b", and ten more for "y"."""


def text_pipeline(rows: Any) -> Any:
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [0, 1]))
    return make_pipeline(encoder, LinearRegression()).fit(rows, MINUTES)


def onnx_of_texts(*widths: int) -> Scorer:
    """Its inputs are texts, so many side by side in each."""
    frame = pd.DataFrame(TEXTS)
    inputs = [(name, StringTensorType([None, width])) for name, width in zip(TEXTS, widths, strict=False)]
    graph = to_onnx(text_pipeline(frame if len(widths) > 1 else frame.to_numpy()), initial_types=inputs)
    return OnnxScorer(open_session(graph.SerializeToString()), tuple(TEXTS))


def frame_of_texts(*, named: bool) -> Scorer:
    frame = pd.DataFrame(TEXTS)
    pipeline = text_pipeline(frame if named else frame.to_numpy())
    return FrameScorer(pipeline, tuple(Column(name, "string") for name in TEXTS))


def dicts_of_texts() -> Scorer:
    rows = [
        dict(zip(COURSE_COLUMNS, (first, second, second, 0), strict=True))
        for first, second in zip(*TEXTS.values(), strict=True)
    ]
    return DictScorer(make_pipeline(DictVectorizer(), LinearRegression()).fit(rows, MINUTES))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: onnx_of_texts(1, 1), id="ONNX, an input a column"),
        pytest.param(lambda: onnx_of_texts(2), id="ONNX, one matrix"),
        pytest.param(lambda: frame_of_texts(named=True), id="frame"),
        pytest.param(lambda: frame_of_texts(named=False), id="array"),
        pytest.param(dicts_of_texts, id="dicts"),
    ],
)
def test_one_long_text_among_many_takes_no_more_than_itself(make: Callable[[], Scorer]) -> None:
    """4,000 rows, one of them with 50,000 letters: 800 MB if each row had as much room."""
    first, second = np.array(["a", "b"] * 2000, TEXT), np.array(["x", "x", "y", "y"] * 1000, TEXT)
    first[7] = "b" * 50_000
    table = dict(zip(COURSE_COLUMNS, (first, second, second, np.zeros(4000)), strict=True))
    table |= {"first": first, "second": second}
    scorer = make()
    tracemalloc.start()
    try:
        numbers = scorer.score(table, 4000).reshape(-1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20e6
    assert numbers[:4] == pytest.approx([1, 2, 11, 12], abs=1e-4)
    assert 11.01 < numbers[7] < 11.99, "it is neither a nor b"


def test_a_long_text_in_an_example_takes_no_more_than_itself(tmp_path: Path) -> None:
    texts = [["a"]] * 999 + [["a" * 50_000]]  # 200 MB if each had as much room
    (tmp_path / "MLmodel").write_text(
        "flavors: {}\n"
        "saved_input_example_info: {type: dataframe, pandas_orient: split, artifact_path: example.json}\n"
    )
    (tmp_path / "example.json").write_text(json.dumps({"columns": ["text"], "data": texts}))
    example = describe(ModelFolder(resolve(str(tmp_path)))).example["text"]
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
def test_a_column_becomes_the_text_that_numpy_makes_of_it(column: np.ndarray[Any, Any]) -> None:
    texts = as_type(column, TEXT)
    assert texts.dtype == TEXT
    assert texts.tolist() == column.astype(np.str_).tolist()
