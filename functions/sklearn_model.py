"""Models of scikit-learn, from skops files; from pickles only where that is allowed."""

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

from functions.artifacts import LARGEST_FILE, ModelFolder
from functions.errors import ModelUnavailable
from functions.mlmodel import TEXT, Column, Description, as_type

COURSE_COLUMNS = ("PU_DO", "PULocationID", "DOLocationID", "trip_distance")
"""What the course's DictVectorizer models choose from; zones are text there."""

TRUSTED = frozenset(
    {
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.model_selection._split.KFold",
        "sklearn.tree._tree.Tree",
    }
)
"""What skops does not trust by itself and models need. By name, one by one: some of scikit-learn's own
modules hold functions that start programs, and a skops file may have any function called that it names."""

MOST_ARRAYS = 100_000
"""In a skops file; a forest of a thousand trees has some thousands."""
LARGEST_SCHEMA = 32 << 20
"""Bytes; a forest of a thousand trees has half of it."""

_TYPES: dict[str, Any] = {
    "float": np.float32,
    "double": np.float64,
    "integer": np.int32,
    "long": np.int64,
    "string": TEXT,
    "boolean": np.bool_,
}


class FrameScorer:
    """A pipeline that takes a data frame with its signature's columns."""

    def __init__(self, estimator: Any, columns: tuple[Column, ...]) -> None:
        self._estimator = estimator
        self._types = {column.name: _TYPES[column.type] for column in columns}
        self.columns = tuple(self._types)

    def score(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[Any]:
        frame = pd.DataFrame({name: as_type(table[name], kind) for name, kind in self._types.items()})
        # One that was fitted on an array warns at each call if it is given names.
        named = hasattr(self._estimator, "feature_names_in_")
        return np.asarray(self._estimator.predict(frame if named else frame.to_numpy()))


class DictScorer:
    """A pipeline that begins with a DictVectorizer, as the course's do."""

    columns = COURSE_COLUMNS

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def score(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[Any]:
        texts = [as_type(table[name], TEXT).tolist() for name in self.columns[:3]]
        distances = table["trip_distance"].tolist()
        dicts = [dict(zip(self.columns, row, strict=True)) for row in zip(*texts, distances, strict=True)]
        return np.asarray(self._estimator.predict(dicts))


def load_sklearn(
    folder: ModelFolder, description: Description, allow_pickle: bool
) -> FrameScorer | DictScorer:
    """Raises ModelUnavailable where the file is a pickle, is damaged or names foreign types."""
    flavor = description.flavors["sklearn"]
    path = str(flavor.get("pickled_model", "model.pkl"))
    if flavor.get("serialization_format") == "skops":
        estimator = _load_skops(folder.read(path))
    elif allow_pickle:
        try:
            estimator = pickle.loads(folder.read(path))  # noqa: S301  # asked for: ALLOW_PICKLE=true
        except Exception as error:  # a pickle may raise anything
            raise ModelUnavailable(f"the pickled model cannot be loaded: {error}") from error
    else:
        raise ModelUnavailable(
            "the model is a pickle, and loading one runs whatever code its writer put there, with "
            "this function's identity. Log it with serialization_format='skops' or export it to "
            "ONNX; if every writer of the bucket is trusted, set ALLOW_PICKLE=true"
        )
    first = estimator.steps[0][1] if hasattr(estimator, "steps") else None
    if isinstance(first, DictVectorizer):
        return DictScorer(estimator)
    if foreign := [column.type for column in description.columns if column.type not in _TYPES]:
        raise ModelUnavailable(f"the model's signature has columns of type {', '.join(foreign)}")
    if not description.columns:
        raise ModelUnavailable(
            "the model was logged without a signature of named columns, so nobody can tell what it "
            "takes; log it with one"
        )
    return FrameScorer(estimator, description.columns)


def _load_skops(content: bytes) -> Any:
    try:
        _refuse_bomb(content)
        # The model's folder also lists types that it wants trusted; it cannot vouch for itself.
        foreign = set(skops.io.get_untrusted_types(data=content)) - TRUSTED
        if foreign:
            raise ModelUnavailable(
                f"the skops model holds {', '.join(sorted(foreign))}; only known types are loaded"
            )
        return skops.io.loads(content, trusted=sorted(TRUSTED))
    except ModelUnavailable:
        raise
    except Exception as error:  # a damaged file makes skops raise anything
        raise ModelUnavailable(f"the skops model cannot be loaded: {error}") from error


def _refuse_bomb(content: bytes) -> None:
    """Refuses a skops file that takes much more memory than it has bytes.

    skops reads an array as often as the schema names it. Nothing may be compressed, because zipfile inflates
    an entry before it looks at the size that the directory states; MLflow compresses nothing. The one thing
    that skops itself compresses is a sparse matrix.
    """
    if content.count(b"PK\x01\x02") > MOST_ARRAYS:  # one for each entry, counted before zipfile lists them
        raise ModelUnavailable(f"the skops model has more than {MOST_ARRAYS} entries")
    read = 0

    def count(node: dict[str, Any]) -> None:
        nonlocal read
        if node.get("__loader__") == "SparseMatrixNode":
            raise ModelUnavailable(
                "the skops model holds a sparse matrix, which is compressed: fit it on dense "
                "columns, or export it to ONNX"
            )
        if "__loader__" in node and "file" in node:  # else a dict of the model's own
            read += sizes[node["file"]]

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ModelUnavailable("the skops model is compressed: save it without, as MLflow does")
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if sizes["schema.json"] > LARGEST_SCHEMA:
            raise ModelUnavailable(f"the skops model's schema is larger than {LARGEST_SCHEMA} bytes")
        json.loads(archive.read("schema.json"), object_hook=count)
    if read > LARGEST_FILE:
        raise ModelUnavailable(f"the skops model unfolds to more than {LARGEST_FILE} bytes")
