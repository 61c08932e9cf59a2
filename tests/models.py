"""Small real models, trained in a second and saved by MLflow in each served format."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from functions.features import RideColumns, feature_matrix

COLUMNS = ("zone_pair", "known_distance", "pickup_minute", "zone_distance")
TARGET = {"target": "ride_duration", "unit": "minutes", "minimum": 0.0, "maximum": 180.0}


def some_rides(count: int, seed: int = 1) -> RideColumns:
    """Random rides, a third of them without a pick-up time."""
    rng = np.random.default_rng(seed)
    minutes = rng.integers(0, 60 * 24 * 28, count).astype(float)
    minutes[rng.random(count) < 1 / 3] = np.nan
    return RideColumns(
        rng.integers(1, 266, count),
        rng.integers(1, 266, count),
        np.round(rng.uniform(0, 20, count), 2),
        minutes % 1440,
        minutes // 1440 % 7,
    )


def fitted_trees(offset: float = 0.0) -> HistGradientBoostingRegressor:
    """Trees for `COLUMNS`; `offset` minutes distinguish two such models."""
    rides = some_rides(3000)
    minutes = 3 + 2.5 * rides.trip_distance + offset
    return HistGradientBoostingRegressor(max_iter=20, random_state=0).fit(
        feature_matrix(rides, COLUMNS), minutes
    )


def example_frame() -> pd.DataFrame:
    return pd.DataFrame(feature_matrix(some_rides(3), COLUMNS), columns=list(COLUMNS))


def save_onnx(folder: Path, offset: float = 0.0, **changes: Any) -> Path:
    """An MLflow folder with an ONNX model for `COLUMNS`."""
    import mlflow.onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.onnx.save_model(_graph(offset), str(folder), **_description() | changes)
    return folder


def save_bounded(folder: Path) -> Path:
    """The same with a declared maximum of 30 minutes, which rides over 11 miles exceed."""
    return save_onnx(folder, metadata=TARGET | {"maximum": 30.0}, input_example=None)


def log_onnx(name: str, offset: float = 0.0) -> int:
    """Logs the same to the MLflow server of the environment and registers it; returns the version."""
    import mlflow.onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mlflow.start_run():
            logged = mlflow.onnx.log_model(
                _graph(offset), name="onnx", registered_model_name=name, **_description()
            )
    return int(logged.registered_model_version)


def _graph(offset: float) -> Any:
    from skl2onnx import to_onnx

    return to_onnx(fitted_trees(offset), feature_matrix(some_rides(1), COLUMNS))


def _description() -> dict[str, Any]:
    from mlflow.models import infer_signature

    example = example_frame()
    return {
        "signature": infer_signature(example, np.zeros(3, np.float32)),
        "input_example": example,
        "metadata": TARGET,
        "pip_requirements": ["onnxruntime"],
    }


def save_sklearn(folder: Path, serialization_format: str) -> Path:
    """An MLflow folder with a scikit-learn model for `COLUMNS`, as `skops`, `cloudpickle` or `pickle`."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    example = example_frame()
    trees = make_pipeline(fitted_trees())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            trees,
            str(folder),
            serialization_format=serialization_format,
            skops_trusted_types=_untrusted(trees) if serialization_format == "skops" else None,
            signature=infer_signature(example, np.zeros(3)),
            input_example=example,
            metadata=TARGET,
            pip_requirements=["scikit-learn"],
        )
    return folder


def course_pipeline() -> Pipeline:
    """The course's model: a DictVectorizer over PU_DO and trip_distance, then a linear regression."""
    rides = some_rides(500)
    records = [
        {"PU_DO": f"{pickup}_{dropoff}", "trip_distance": miles}
        for pickup, dropoff, miles in zip(*rides[:3], strict=True)
    ]
    return make_pipeline(DictVectorizer(), LinearRegression()).fit(records, 3 + 2.5 * rides.trip_distance)


def save_course(folder: Path, serialization_format: str) -> Path:
    """The course's model as the course logs it: no signature, no input example."""
    import mlflow.sklearn

    pipeline = course_pipeline()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            pipeline,
            str(folder),
            serialization_format=serialization_format,
            skops_trusted_types=_untrusted(pipeline) if serialization_format == "skops" else None,
            pip_requirements=["scikit-learn"],
        )
    return folder


def save_course_onnx(folder: Path) -> Path:
    """A linear model over the course's two columns as ONNX: one text input and one number input."""
    import mlflow.onnx
    from mlflow.models import infer_signature
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    rides = some_rides(500)
    pairs = [f"{pickup}_{dropoff}" for pickup, dropoff in zip(*rides[:2], strict=True)]
    frame = pd.DataFrame({"PU_DO": pairs, "trip_distance": rides.trip_distance})
    one_hot = ColumnTransformer(
        [("pair", OneHotEncoder(handle_unknown="ignore"), ["PU_DO"])], remainder="passthrough"
    )
    pipeline = make_pipeline(one_hot, LinearRegression()).fit(frame, 3 + 2.5 * rides.trip_distance)
    inputs = [("PU_DO", StringTensorType([None, 1])), ("trip_distance", FloatTensorType([None, 1]))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.onnx.save_model(
            to_onnx(pipeline, initial_types=inputs),
            str(folder),
            signature=infer_signature(frame.head(3), np.zeros(3, np.float32)),
            pip_requirements=["onnxruntime"],
        )
    return folder


def save_onnx_with_truth(folder: Path) -> Path:
    """A model without ride features: `number`, plus 10 if `truth`."""
    import mlflow.onnx
    from mlflow.models import infer_signature
    from onnx import TensorProto, helper, numpy_helper

    kinds = {"number": TensorProto.FLOAT, "truth": TensorProto.BOOL}
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["truth"], ["one"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["one", "ten"], ["more"]),
            helper.make_node("Add", ["number", "more"], ["sum"]),
        ],
        "truth",
        [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in kinds.items()],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(np.array([10], np.float32), "ten")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    example = pd.DataFrame({"number": [0.5, 1.5], "truth": [True, False]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.onnx.save_model(
            model,
            str(folder),
            signature=infer_signature(example, np.zeros(2, np.float32)),
            input_example=example,
            pip_requirements=["onnxruntime"],
        )
    return folder


def _untrusted(estimator: Any) -> list[str]:
    import skops.io

    return list(skops.io.get_untrusted_types(data=skops.io.dumps(estimator)))


def write_graph(
    folder: Path, graph: Any, columns: dict[str, str], metadata: dict[str, Any] | None = None
) -> Path:
    """A folder as MLflow writes it for an ONNX graph; `columns` are the signature's, with their types."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    return _write_mlmodel(folder, {"onnx": {"data": "model.onnx"}}, columns, metadata)


def write_pipeline(
    folder: Path,
    estimator: Any,
    columns: dict[str, str],
    metadata: dict[str, Any] | None = None,
    **pyfunc: str,
) -> Path:
    """The same for a scikit-learn model in the skops format."""
    import skops.io

    folder.mkdir()
    (folder / "model.skops").write_bytes(skops.io.dumps(estimator))
    flavor = {"pickled_model": "model.skops", "serialization_format": "skops"}
    return _write_mlmodel(folder, {"sklearn": flavor, "python_function": pyfunc}, columns, metadata)


def _write_mlmodel(
    folder: Path, flavors: dict[str, Any], columns: dict[str, str], metadata: dict[str, Any] | None
) -> Path:
    inputs = [{"name": name, "type": kind, "required": True} for name, kind in columns.items()]
    content = {"flavors": flavors, "signature": {"inputs": json.dumps(inputs)}, "metadata": metadata}
    (folder / "MLmodel").write_text(json.dumps(content))
    return folder
