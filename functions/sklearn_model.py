"""scikit-learn models from skops files, or from pickles if ALLOW_PICKLE permits them."""

import io
import json
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction import DictVectorizer, FeatureHasher

from functions.artifacts import MAX_FILE_BYTES, ModelFolder
from functions.errors import ModelUnavailable
from functions.learned_inputs import (
    LearnedField,
    check_rides,
    check_table,
    first_steps,
    fitted_parts,
    learned_fields,
)
from functions.mlmodel import (
    TEXT_DTYPE,
    ColumnTable,
    InputColumn,
    ModelDescription,
    cast_column,
    damaged_file,
    takes_rides,
)

TRUSTED_TYPES = frozenset(
    {
        "numpy.dtype",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.model_selection._split.KFold",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
    }
)
"""Types that models need and skops does not trust by default. They are listed one by one because a skops file
can call any function it names, and some of scikit-learn's modules contain functions that start programs."""

MAX_ARCHIVE_ENTRIES = 100_000
"""Of a skops file; a forest of 1,000 trees has a few thousand entries."""
MAX_SCHEMA_BYTES = 32 << 20
"""A forest of 1,000 trees needs half of it."""

_DTYPES: dict[str, Any] = {
    "float": np.float32,
    "double": np.float64,
    "integer": np.int32,
    "long": np.int64,
    "string": TEXT_DTYPE,
    "boolean": np.bool_,
}


_LOG_AGAIN = "log it with signature=infer_signature(X, y) of the X that it was fitted on"


class _SklearnScorer:
    """What the two kinds of scikit-learn models have in common."""

    def __init__(self, estimator: Any, types: Mapping[str, str]) -> None:
        self._estimator = estimator
        self.types = dict(types)
        """Columns → MLflow's types in which the estimator gets them."""
        self.columns = tuple(types)

    def score(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[Any]:
        numbers = self._estimator.predict(self._input(table))
        return np.asarray(numbers.filled(np.nan) if np.ma.isMaskedArray(numbers) else numbers)

    def check_inputs(self, example: ColumnTable) -> None:
        """Raises ModelUnavailable if the model learned values that rides do not have, or other types."""
        predict = partial(self.score, rows=0)
        if takes_rides(self.columns):
            check_rides(self._estimator, predict, self.columns)
        else:
            check_table(self._estimator, predict, self.types, example)

    def _input(self, table: Mapping[str, npt.NDArray[Any]]) -> Any:
        raise NotImplementedError


class DataFrameScorer(_SklearnScorer):
    """A pipeline whose input is a data frame with the columns of its signature.

    Raises ModelUnavailable if it was fitted on other columns.
    """

    def __init__(self, estimator: Any, columns: Sequence[InputColumn]) -> None:
        types = {column.name: column.type for column in columns}
        first = first_steps(estimator)[0]
        fitted = getattr(estimator, "feature_names_in_", getattr(first, "feature_names_in_", None))
        self._has_names = fitted is not None
        if fitted is not None:
            # A ColumnTransformer does not need the columns that it drops.
            missing = [name for name in fitted if name not in types]
            if missing and not isinstance(first, ColumnTransformer):
                raise ModelUnavailable(
                    f"the model was fitted on {', '.join(fitted)}, but its signature lacks "
                    f"{', '.join(missing)}: {_LOG_AGAIN}"
                )
            types = {name: types[name] for name in fitted if name in types}
        elif (count := getattr(estimator, "n_features_in_", len(types))) != len(types):
            raise ModelUnavailable(
                f"the model was fitted on {count} columns, but its signature has {len(types)} "
                f"({', '.join(types)}): {_LOG_AGAIN}"
            )
        super().__init__(estimator, types)
        self._dtypes = {name: _DTYPES[kind] for name, kind in types.items()}

    def _input(self, table: Mapping[str, npt.NDArray[Any]]) -> Any:
        frame = pd.DataFrame({name: cast_column(table[name], dtype) for name, dtype in self._dtypes.items()})
        # An estimator fitted on an array warns about column names at each call.
        return frame if self._has_names else frame.to_numpy()


class DictScorer(_SklearnScorer):
    """A pipeline that starts with a DictVectorizer, like the course's models: it gets the learned fields."""

    def __init__(self, estimator: Any, fields: Mapping[str, LearnedField]) -> None:
        super().__init__(
            estimator, {name: "double" if field.as_number else "string" for name, field in fields.items()}
        )

    def _input(self, table: Mapping[str, npt.NDArray[Any]]) -> Any:
        values = [cast_column(table[name], _DTYPES[kind]).tolist() for name, kind in self.types.items()]
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*values, strict=True)]


def load_sklearn(
    folder: ModelFolder, description: ModelDescription, allow_pickle: bool
) -> DataFrameScorer | DictScorer:
    """Loads a model and compares what it learned with what it will be given.

    Raises ModelUnavailable for a damaged file, untrusted types, a pickle that is not allowed, or a model that
    learned other inputs.
    """
    method = description.flavors.get("python_function", {}).get("predict_fn", "predict")
    if method != "predict":
        raise ModelUnavailable(
            f"the model was logged with pyfunc_predict_fn={method!r}, and only predict is served: log it "
            "without, or export the number that you want to ONNX (docs/own-model.md)"
        )
    estimator = _load_estimator(folder, description.flavors["sklearn"], allow_pickle)
    for part in fitted_parts(estimator):
        # Threads would sum a forest's trees in another order each time; processes cost more than a batch.
        if getattr(part, "n_jobs", None) is not None:
            part.n_jobs = 1
    scorer = _scorer(estimator, description.columns)
    scorer.check_inputs(description.example)
    return scorer


def _scorer(estimator: Any, columns: Sequence[InputColumn]) -> DataFrameScorer | DictScorer:
    first = first_steps(estimator)
    if vectorizers := [step for step in first if isinstance(step, DictVectorizer)]:
        return DictScorer(estimator, learned_fields(vectorizers))
    if any(isinstance(step, FeatureHasher) for step in first):
        raise ModelUnavailable(
            "the model starts with a FeatureHasher, which keeps no names, so which fields it needs is not "
            "known: fit it with a DictVectorizer instead"
        )
    if not columns:
        raise ModelUnavailable(
            "the model was logged without a signature, so its input columns are unknown; log it with a "
            "signature that has named columns. If it was fitted on the matrix of a DictVectorizer, log both "
            "as one pipeline: make_pipeline(vectorizer, model)"
        )
    if unsupported := [column for column in columns if column.type not in _DTYPES]:
        names = ", ".join(f"{column.name} as {column.type}" for column in unsupported)
        raise ModelUnavailable(
            f"the model's signature has unsupported types: {names}. Supported are {', '.join(_DTYPES)}"
        )
    return DataFrameScorer(estimator, columns)


def _load_estimator(folder: ModelFolder, flavor: Mapping[str, Any], allow_pickle: bool) -> Any:
    path = str(flavor.get("pickled_model", "model.pkl"))
    if flavor.get("serialization_format") == "skops":
        content = folder.read(path)
        try:
            return _load_skops(content)
        except ModelUnavailable:
            raise
        except Exception as error:  # a damaged file makes skops raise anything
            raise damaged_file(folder, path, "skops model", error, content) from error
    if not allow_pickle:
        raise ModelUnavailable(
            "the model is a pickle, and loading a pickle runs any code in it with this program's "
            "permissions. Log the model with serialization_format='skops' (a model with trees also needs "
            "skops_trusted_types=['sklearn.tree._tree.Tree']) or export it to ONNX. If you trust everyone "
            "who can write to the bucket, set ALLOW_PICKLE=true"
        )
    content = folder.read(path)
    try:
        return pickle.loads(content)  # noqa: S301  # permitted by ALLOW_PICKLE=true
    except ImportError as error:
        raise ModelUnavailable(
            f"the pickled model needs a package that is not installed here ({error}): install it, or export "
            "the model to ONNX"
        ) from error
    except Exception as error:  # a pickle may raise anything
        raise damaged_file(folder, path, "pickled model", error, content) from error


def _load_skops(content: bytes) -> Any:
    _check_unpacked_size(content)
    # The model's folder also lists types to trust, but a model cannot vouch for itself.
    untrusted = set(skops.io.get_untrusted_types(data=content)) - TRUSTED_TYPES
    if untrusted:
        raise ModelUnavailable(
            f"the skops model contains untrusted types: {', '.join(sorted(untrusted))}. Export it to ONNX; "
            "or, if you trust everyone who can write to the bucket, log it with "
            "serialization_format='cloudpickle' and set ALLOW_PICKLE=true"
        )
    return skops.io.loads(content, trusted=sorted(TRUSTED_TYPES))


def _check_unpacked_size(content: bytes) -> None:
    """Rejects a skops file that would take much more memory than its size.

    skops loads an array as often as the schema names it. Compression is not allowed because zipfile inflates
    an entry before it checks the size stated in the directory. MLflow compresses nothing, and skops only
    compresses sparse matrices.
    """
    if content.count(b"PK\x01\x02") > MAX_ARCHIVE_ENTRIES:  # one per entry, before zipfile lists them
        raise ModelUnavailable(f"the skops model has more than {MAX_ARCHIVE_ENTRIES} entries")
    unpacked_size = 0

    def add_size(node: dict[str, Any]) -> None:
        nonlocal unpacked_size
        if node.get("__loader__") == "SparseMatrixNode":
            raise ModelUnavailable(
                "the skops model contains a sparse matrix, which is compressed: fit the model on dense "
                "columns, or export it to ONNX"
            )
        if "__loader__" in node and "file" in node:  # otherwise one of the model's own dicts
            unpacked_size += sizes[node["file"]]

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ModelUnavailable("the skops model is compressed: save it uncompressed, as MLflow does")
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if sizes["schema.json"] > MAX_SCHEMA_BYTES:
            raise ModelUnavailable(f"the skops model's schema is larger than {MAX_SCHEMA_BYTES} bytes")
        json.loads(archive.read("schema.json"), object_hook=add_size)
    if unpacked_size > MAX_FILE_BYTES:
        raise ModelUnavailable(f"the skops model unpacks to more than {MAX_FILE_BYTES} bytes")
