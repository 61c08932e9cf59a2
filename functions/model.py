"""Loads, tests and runs models in ONNX or scikit-learn format."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from functions.artifacts import MAX_FILE_BYTES, ModelFolder
from functions.errors import ImplausiblePrediction, ModelUnavailable, Problem
from functions.features import FEATURES, FeatureTable, RideColumns, ride_columns
from functions.mlmodel import (
    MAX_EXAMPLE_BYTES,
    MAX_MLMODEL_BYTES,
    ModelDescription,
    PredictionTarget,
    read_description,
    with_version,
)
from functions.releases import Release
from functions.rides import Prediction, Ride

FloatArray = npt.NDArray[np.float64]

PREFETCHED_FILES = {
    "MLmodel": MAX_MLMODEL_BYTES,
    "input_example.json": MAX_EXAMPLE_BYTES,
    "model.onnx": MAX_FILE_BYTES,
}
"""The files that most models need, by MLflow's usual names, with size limits in bytes."""
PROBE_RIDES = (Ride(130, 205, 3.66), Ride(43, 151, 0.0))
"""Every ride model must predict these: one with a distance, one without."""


class Scorer(Protocol):
    """A model in one of the supported formats."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its input columns."""

    def score(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[Any]:
        """One number per row; `table` may hold more columns than needed."""


class Model:
    """A loaded model; `types` are MLflow's types of its input columns by name, if it has a signature."""

    def __init__(
        self, release: Release, target: PredictionTarget, scorer: Scorer, types: dict[str, str] | None = None
    ) -> None:
        self.release = release
        self.version = release.version
        """Version that each prediction carries."""
        self.target = target
        self.columns = scorer.columns
        """Names of the input columns."""
        self.types = types or {}
        self._scorer = scorer
        # Infinity is implausible even if the target has no limits.
        self._minimum = np.array([max(target.minimum, -sys.float_info.max)])
        self._maximum = np.array([min(target.maximum, sys.float_info.max)])

    def predict_rides(self, rides: Sequence[Ride]) -> list[Prediction]:
        """One prediction per ride, in order; raises the same errors as `predict`."""
        numbers = self.predict(ride_columns(rides))
        return [Prediction(number, self.target.target, self.version) for number in numbers.tolist()]

    def predict(self, rides: RideColumns) -> FloatArray:
        """One number per ride, in the target's unit: float64, [rides].

        Raises:
            ModelUnavailable: the model failed.
            ImplausiblePrediction: the model predicted an impossible value.
        """
        return self.predict_table(FeatureTable(rides), len(rides.PULocationID))

    def predict_table(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> FloatArray:
        """Like `predict`, from columns by name."""
        numbers = self.score(table, rows)
        if np.count_nonzero(self.plausible(numbers)) < rows:
            detail = (
                f"model version {self.version} predicts {numbers.min():g} to {numbers.max():g} "
                f"{self.target.unit}, which is implausible: "
                f"it must be {self.target.minimum:g} to {self.target.maximum:g}"
            )
            raise ImplausiblePrediction(Problem("#", detail))
        return numbers

    def plausible(self, numbers: FloatArray) -> npt.NDArray[np.bool_]:
        """A mask of the numbers within the target's limits."""
        # NaN fails every comparison.
        return (numbers >= self._minimum) & (numbers <= self._maximum)

    def score(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> FloatArray:
        """One number per row, plausible or not; raises ModelUnavailable if the model failed."""
        if not rows:
            return np.empty(0)
        try:
            numbers = self._scorer.score(table, rows).reshape(-1).astype(np.float64)
        except Exception as error:  # third-party models may raise anything; the ride is not at fault
            raise ModelUnavailable(f"version {self.version} failed: {error}") from error
        if len(numbers) != rows:
            raise ModelUnavailable(f"version {self.version} returned {len(numbers)} numbers for {rows} rows")
        return numbers


def load_model(release: Release, *, allow_pickle: bool = False) -> Model:
    """Loads a release's ride model and tests it on its input example and on two rides.

    `allow_pickle` accepts pickled models, which run their code in this process. Raises ModelUnavailable if
    the files are not as released, or the model does not work.
    """
    model = load_table_model(release, allow_pickle=allow_pickle)
    unknown = [name for name in model.columns if name not in FEATURES]
    if unknown:
        needed, supported = ", ".join(unknown), ", ".join(FEATURES)
        raise ModelUnavailable(f"the model needs {needed}; the supported features are {supported}")
    with _self_test():
        model.predict(ride_columns(PROBE_RIDES))
    return model


def load_table_model(release: Release, *, allow_pickle: bool = False) -> Model:
    """Like `load_model`, for a model of any table, which is tested on its input example only."""
    folder = ModelFolder(release)
    with folder.prefetch(PREFETCHED_FILES):
        if any(file.path.endswith(".onnx") for file in release.files):
            from functions import onnx_model  # noqa: F401  # imports while the files are fetched
        description = read_description(folder)
        scorer = _load_scorer(folder, description, allow_pickle)
    if len(set(scorer.columns)) < len(scorer.columns):
        raise ModelUnavailable("the model's signature has duplicate column names")
    types = {column.name: column.type for column in description.columns}
    model = Model(with_version(release, description), description.target, scorer, types)
    if description.example:
        with _self_test():
            model.predict_table(description.example, len(next(iter(description.example.values()))))
    return model


@contextmanager
def _self_test() -> Iterator[None]:
    try:
        yield
    except ImplausiblePrediction as error:
        raise ModelUnavailable(f"the model fails its self-test: {error}") from error


def _load_scorer(folder: ModelFolder, description: ModelDescription, allow_pickle: bool) -> Scorer:
    # A format's library is imported only if it is needed.
    if "onnx" in description.flavors:
        from functions.onnx_model import load_onnx

        return load_onnx(folder, description)
    if "sklearn" in description.flavors:
        from functions.sklearn_model import load_sklearn

        return load_sklearn(folder, description, allow_pickle)
    flavors = ", ".join(sorted(description.flavors)) or "none"
    raise ModelUnavailable(
        f"the model's flavors ({flavors}) include neither onnx nor sklearn. Log it with "
        "mlflow.onnx.log_model or mlflow.sklearn.log_model(serialization_format='skops')"
    )
