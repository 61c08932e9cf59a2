"""scikit-learn models from skops files, or from pickles if ALLOW_PICKLE permits them."""

import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import skops.io
from sklearn.feature_extraction import DictVectorizer

from functions.artifacts import MAX_FILE_BYTES, ModelFolder
from functions.errors import ModelUnavailable
from functions.mlmodel import TEXT_DTYPE, InputColumn, ModelDescription, cast_column

COURSE_COLUMNS = ("PU_DO", "PULocationID", "DOLocationID", "trip_distance")
"""Columns that the course's DictVectorizer models may use; zones are text there."""

TRUSTED_TYPES = frozenset(
    {
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.model_selection._split.KFold",
        "sklearn.tree._tree.Tree",
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


class DataFrameScorer:
    """A pipeline whose input is a data frame with the columns of its signature."""

    def __init__(self, estimator: Any, columns: tuple[InputColumn, ...]) -> None:
        self._estimator = estimator
        self._dtypes = {column.name: _DTYPES[column.type] for column in columns}
        self.columns = tuple(self._dtypes)

    def score(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[Any]:
        frame = pd.DataFrame({name: cast_column(table[name], dtype) for name, dtype in self._dtypes.items()})
        # An estimator fitted on an array warns about column names at each call.
        has_names = hasattr(self._estimator, "feature_names_in_")
        return np.asarray(self._estimator.predict(frame if has_names else frame.to_numpy()))


class DictScorer:
    """A pipeline that starts with a DictVectorizer, like the course's models."""

    columns = COURSE_COLUMNS

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def score(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[Any]:
        zones = [cast_column(table[name], TEXT_DTYPE).tolist() for name in self.columns[:3]]
        distances = table["trip_distance"].tolist()
        records = [dict(zip(self.columns, row, strict=True)) for row in zip(*zones, distances, strict=True)]
        return np.asarray(self._estimator.predict(records))


def load_sklearn(
    folder: ModelFolder, description: ModelDescription, allow_pickle: bool
) -> DataFrameScorer | DictScorer:
    """Raises ModelUnavailable for a damaged file, untrusted types, or a pickle that is not allowed."""
    flavor = description.flavors["sklearn"]
    path = str(flavor.get("pickled_model", "model.pkl"))
    if flavor.get("serialization_format") == "skops":
        estimator = _load_skops(folder.read(path))
    elif allow_pickle:
        try:
            estimator = pickle.loads(folder.read(path))  # noqa: S301  # permitted by ALLOW_PICKLE=true
        except Exception as error:  # a pickle may raise anything
            raise ModelUnavailable(f"the pickled model cannot be loaded: {error}") from error
    else:
        raise ModelUnavailable(
            "the model is a pickle, and loading a pickle runs any code in it with this function's "
            "permissions. Log the model with serialization_format='skops' or export it to ONNX. If you "
            "trust everyone who can write to the bucket, set ALLOW_PICKLE=true"
        )
    first = estimator.steps[0][1] if hasattr(estimator, "steps") else None
    if isinstance(first, DictVectorizer):
        return DictScorer(estimator)
    if unsupported := [column.type for column in description.columns if column.type not in _DTYPES]:
        raise ModelUnavailable(f"the model's signature has unsupported types: {', '.join(unsupported)}")
    if not description.columns:
        raise ModelUnavailable(
            "the model was logged without a signature, so its input columns are unknown; log it with a "
            "signature that has named columns"
        )
    return DataFrameScorer(estimator, description.columns)


def _load_skops(content: bytes) -> Any:
    try:
        _check_unpacked_size(content)
        # The model's folder also lists types to trust, but a model cannot vouch for itself.
        untrusted = set(skops.io.get_untrusted_types(data=content)) - TRUSTED_TYPES
        if untrusted:
            names = ", ".join(sorted(untrusted))
            raise ModelUnavailable(f"the skops model contains untrusted types: {names}")
        return skops.io.loads(content, trusted=sorted(TRUSTED_TYPES))
    except ModelUnavailable:
        raise
    except Exception as error:  # a damaged file makes skops raise anything
        raise ModelUnavailable(f"the skops model cannot be loaded: {error}") from error


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
