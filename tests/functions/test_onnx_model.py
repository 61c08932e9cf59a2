"""ONNX graphs whose inputs or outputs are not those of a table, and texts that a graph learned."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from functions.errors import ModelUnavailable
from functions.features import ride_columns
from functions.model import load_model, load_table_model
from functions.resolver import resolve
from functions.rides import Ride
from tests.models import some_rides, write_graph

COLUMNS = {"trip_distance": "double", "PULocationID": "long"}
RIDES = some_rides(300)
PAIRS = [f"{pickup}_{dropoff}" for pickup, dropoff in zip(*RIDES[:2], strict=True)]
MINUTES = 3 + 2.5 * RIDES.trip_distance
MATRIX = np.column_stack([RIDES.trip_distance, RIDES.PULocationID]).astype(np.float32)
LINEAR = LinearRegression().fit(MATRIX, MINUTES)


def graph(
    inputs: dict[str, tuple[int, Any]], outputs: dict[str, tuple[int, Any]], *nodes: tuple[Any, ...]
) -> Any:
    """A graph of nodes (operator, inputs, outputs); inputs and outputs by name, with type and shape."""
    first, last = (
        [helper.make_tensor_value_info(name, *described) for name, described in values.items()]
        for values in (inputs, outputs)
    )
    made = [helper.make_node(*node) for node in nodes]
    proto = helper.make_graph(made, "g", first, last)
    return helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def identity(kind: int = TensorProto.FLOAT, shape: Any = (None, 1)) -> Any:
    return graph({"x": (kind, shape)}, {"y": (kind, (None, 1))}, ("Identity", ["x"], ["y"]))


@pytest.mark.parametrize(
    ("model", "columns", "expected"),
    [
        (identity(shape=[1, 1]), {"fare": "double"}, r"input x is .* \[1, 1\]: export .* any number of rows"),
        (
            identity(shape=[None, 3]),
            {"fare": "double"},
            r"does not fit the signature \(fare\)",
        ),
        (identity(shape=[None]), {"fare": "double"}, "does not fit the signature"),
        (identity(shape=[None, 2]), {}, "logged without a signature, so its columns are unknown"),
        (identity(TensorProto.FLOAT16), {"fare": "float"}, r"tensor\(float16\).*; supported types are"),
        (identity(TensorProto.STRING), {"city": "string"}, r"output y is tensor\(string\)"),
        (identity(TensorProto.BOOL), {"yes": "boolean"}, r"output y is tensor\(bool\)"),
        (identity(), {"city": "string"}, "declares city as string, but the graph takes float"),
    ],
)
def test_a_graph_that_does_not_fit_a_table_is_refused(
    tmp_path: Path, model: Any, columns: dict[str, str], expected: str
) -> None:
    with pytest.raises(ModelUnavailable, match=expected):
        load_table_model(resolve(str(write_graph(tmp_path / "model", model, columns))))


def test_a_graph_gets_the_types_of_its_inputs(tmp_path: Path) -> None:
    """A table's fractions must not be cut off, so its rows are rejected; a signature may be narrower."""
    for number, (kind, declared, expected) in enumerate(
        [
            (TensorProto.INT64, "double", "long"),
            (TensorProto.INT64, "integer", "integer"),
            (TensorProto.FLOAT, "long", "long"),
            (TensorProto.FLOAT, "double", "double"),
        ]
    ):
        folder = write_graph(tmp_path / str(number), identity(kind), {"age": declared})
        assert load_table_model(resolve(str(folder))).types == {"age": expected}


def test_a_classifier_with_several_outputs_is_refused(tmp_path: Path) -> None:
    classifier = LogisticRegression().fit(MATRIX, MINUTES > 20)
    for options in ({}, {"zipmap": False}):
        exported = to_onnx(classifier, MATRIX[:1], options=options)
        folder = write_graph(tmp_path / str(options), exported, COLUMNS)
        with pytest.raises(ModelUnavailable, match=r"several outputs \(\w*label, \w+\), so which one"):
            load_model(resolve(str(folder)))
    folder = write_graph(tmp_path / "named", exported, COLUMNS, {"target": "probabilities"})
    with pytest.raises(ModelUnavailable, match=r"probabilities is tensor\(float\) \[None, 2\], but must be"):
        load_model(resolve(str(folder)))


def test_of_several_outputs_the_one_with_the_targets_name_is_used(tmp_path: Path) -> None:
    model = graph(
        {"x": (TensorProto.FLOAT, [None, 1])},
        {"minus": (TensorProto.FLOAT, [None, 1]), "fare": (TensorProto.FLOAT, [None, 1])},
        ("Neg", ["x"], ["minus"]),
        ("Identity", ["x"], ["fare"]),
    )
    folder = write_graph(tmp_path / "model", model, {"meter": "float"}, {"target": "fare"})
    loaded = load_table_model(resolve(str(folder)))
    assert loaded.predict_table({"meter": np.array([1.5, 2.5])}, 2).tolist() == [1.5, 2.5]


def test_a_matrix_is_filled_in_the_order_of_the_signature(tmp_path: Path) -> None:
    folder = write_graph(tmp_path / "model", to_onnx(LINEAR, MATRIX[:1]), COLUMNS)
    np.testing.assert_allclose(
        load_model(resolve(str(folder))).predict(RIDES), LINEAR.predict(MATRIX), rtol=1e-5
    )


def test_a_model_whose_rides_depend_on_each_other_is_refused(tmp_path: Path) -> None:
    model = graph(
        {"trip_distance": (TensorProto.FLOAT, [None, 1])},
        {"y": (TensorProto.FLOAT, None)},
        ("ReduceMean", ["trip_distance"], ["mean"]),
        ("Add", ["trip_distance", "mean"], ["y"]),
    )
    folder = write_graph(tmp_path / "model", model, {"trip_distance": "double"}, {"unit": "minutes"})
    with pytest.raises(ModelUnavailable, match=r"predicts 7\.32 for a ride alone and 5\.49 for it beside"):
        load_model(resolve(str(folder)))


def text_graph(texts: dict[str, list[str]], model: Any) -> Any:
    """One text input per column and a distance, as skl2onnx converts a pipeline over a data frame."""
    frame = pd.DataFrame(texts | {"trip_distance": RIDES.trip_distance.tolist()})
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), list(texts)), remainder="passthrough"
    )
    pipeline = make_pipeline(encoder, model).fit(frame, MINUTES + frame.index % 7)
    inputs = [(name, StringTensorType([None, 1])) for name in texts]
    return to_onnx(pipeline, initial_types=[*inputs, ("trip_distance", FloatTensorType([None, 1]))])


ZONES = {
    "PULocationID": RIDES.PULocationID.astype(str).tolist(),
    "DOLocationID": RIDES.DOLocationID.astype(str).tolist(),
}
FLOAT_ZONES = [f"{zone}.0" for zone in RIDES.PULocationID]


@pytest.mark.parametrize(
    ("texts", "model", "refused"),
    [
        ({"PU_DO": PAIRS}, LinearRegression(), ""),
        ({"PU_DO": PAIRS}, Lasso(10), ""),
        ({"PU_DO": [pair.replace("_", ".0_") for pair in PAIRS]}, LinearRegression(), "PU_DO"),
        (ZONES, LinearRegression(), ""),
        (
            ZONES | {"PULocationID": [f"{zone}.0" for zone in RIDES.PULocationID]},
            LinearRegression(),
            "PULocationID",
        ),
    ],
)
def test_texts_that_a_graph_does_not_know_are_noticed(
    tmp_path: Path, texts: dict[str, list[str]], model: Any, refused: str
) -> None:
    types = dict.fromkeys(texts, "string") | {"trip_distance": "double"}
    folder = write_graph(tmp_path / "model", text_graph(texts, model), types)
    if refused:
        with pytest.raises(ModelUnavailable, match=f"predicts the same for each {refused} that a ride has"):
            load_model(resolve(str(folder)))
    else:
        assert load_model(resolve(str(folder))).predict(ride_columns([Ride(130, 205, 3.66)])).item() > 5
