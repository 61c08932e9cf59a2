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
from functions.mlflow_client import TrackingServer
from functions.mlmodel import (
    MAX_EXAMPLE_BYTES,
    MAX_MLMODEL_BYTES,
    ModelDescription,
    PredictionTarget,
    read_description,
    takes_rides,
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
UNIT_PROBES = (Ride(130, 205, 1.0), Ride(130, 205, 5.0), Ride(130, 205, 20.0))
"""Rides that show whether a model without metadata predicts minutes."""
MIN_MINUTES, MAX_MINUTES = 5.0, 180.0
"""The longest of them takes more, the shortest less. 5 is above the logarithm of any duration in minutes."""

_WHOLE_FEATURES = {"PULocationID", "DOLocationID", "zone_pair"}
_WHOLE_TYPES = {"integer", "long"}
_ANY_NUMBER = {"float", "double"}


class Scorer(Protocol):
    """A model in one of the supported formats."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its input columns."""

    def score(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[Any]:
        """One number per row; `table` may hold more columns than needed."""


class LoadedScorer(Scorer, Protocol):
    """A scorer whose columns have types."""

    @property
    def types(self) -> dict[str, str]:
        """Names of its input columns → MLflow's types in which the model gets them."""


class Model:
    """A loaded model; `types` are MLflow's types of its input columns by name, if they are known."""

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
            target = self.target
            detail = (
                f"model version {self.version} predicts {numbers.min():g} to {numbers.max():g}"
                f"{target.unit_suffix}, which is implausible: "
                f"it must be {target.minimum:g} to {target.maximum:g}"
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
            numbers = self._scorer.score(table, rows)
            kind, count = numbers.dtype.kind, numbers.size
        except Exception as error:  # third-party models may raise anything; the ride is not at fault
            raise ModelUnavailable(f"version {self.version} failed: {error}") from error
        if kind not in "fiu":
            # Text such as a class's label "5.0", and true or false, would become numbers.
            raise ModelUnavailable(f"version {self.version} returned {numbers.dtype}, not numbers")
        if count != rows:
            raise ModelUnavailable(f"version {self.version} returned {count} numbers for {rows} rows")
        return numbers.reshape(-1).astype(np.float64)


def load_model(
    release: Release, *, allow_pickle: bool = False, server: TrackingServer | None = None
) -> Model:
    """Loads a release's ride model and tests it on its input example and on two rides.

    `allow_pickle` accepts pickled models, which run their code in this process; `server` is the MLflow server
    that serves the files, if one does. Raises ModelUnavailable if the files are not as released, or the model
    does not work.
    """
    model = load_table_model(release, allow_pickle=allow_pickle, server=server)
    unknown = [name for name in model.columns if name not in FEATURES]
    if unknown:
        needed, supported = ", ".join(unknown), ", ".join(FEATURES)
        raise ModelUnavailable(f"the model needs {needed}; the supported features are {supported}")
    with _self_test():
        together = model.predict(ride_columns(PROBE_RIDES))
        alone = [model.predict(ride_columns([ride])).item() for ride in PROBE_RIDES]
    if not np.allclose(together, alone, rtol=1e-5):
        raise ModelUnavailable(
            f"the model predicts {alone[0]:g} for a ride alone and {together[0]:g} for it beside another "
            "one: export it so that each row is predicted by itself"
        )
    return model


def load_table_model(
    release: Release, *, allow_pickle: bool = False, server: TrackingServer | None = None
) -> Model:
    """Like `load_model`, for a model of any table, which is tested on its input example only."""
    folder = ModelFolder(release, server)
    with folder.prefetch(PREFETCHED_FILES):
        if any(file.path.endswith(".onnx") for file in release.files):
            from functions import onnx_model  # noqa: F401  # imports while the files are fetched
        description = read_description(folder)
        scorer = _load_scorer(folder, description, allow_pickle)
    of_rides = takes_rides(scorer.columns)
    target = description.target.of_rides() if of_rides else description.target
    model = Model(with_version(release, description), target, scorer, _types(scorer, description))
    if of_rides:
        _check_ride_types(scorer.types)
        if description.target == PredictionTarget():
            _check_minutes(model)
    if description.example:
        if missing := [name for name in model.columns if name not in description.example]:
            raise ModelUnavailable(
                f"the model's input example has no {', '.join(missing)}, which it needs: log it with rows of "
                "the data that it was fitted on"
            )
        with _self_test():
            model.predict_table(description.example, len(next(iter(description.example.values()))))
    return model


def _types(scorer: LoadedScorer, description: ModelDescription) -> dict[str, str]:
    """MLflow's types of the columns: as the signature says, unless the model itself takes fewer values."""
    declared = {column.name: column.type for column in description.columns if column.name in scorer.types}
    return scorer.types | {
        name: kind
        for name, kind in declared.items()
        if scorer.types[name] in _ANY_NUMBER or (kind, scorer.types[name]) == ("integer", "long")
    }


def _check_ride_types(types: dict[str, str]) -> None:
    """Raises ModelUnavailable if a feature of rides would be cut down to fit into the type of its column."""
    for name, kind in types.items():
        declared = "string" if name == "PU_DO" else "double"
        fits = kind == declared if name == "PU_DO" else kind != "boolean"
        if not fits or (kind in _WHOLE_TYPES and name not in _WHOLE_FEATURES):
            raise ModelUnavailable(
                f"the model takes {name} as {kind}, which not all rides' values fit into: fit it on values "
                f"of type {declared}, and log it with a signature that says so"
            )


def _check_minutes(model: Model) -> None:
    """Raises ModelUnavailable if a model without metadata does not seem to predict minutes."""
    try:
        numbers = model.score(FeatureTable(ride_columns(UNIT_PROBES)), len(UNIT_PROBES))
    except ModelUnavailable:
        return  # `load_model` tests that it predicts; a table's rides may be others than these
    if numbers.max() < MIN_MINUTES or numbers.min() > MAX_MINUTES:
        shown = ", ".join(
            f"{ride.trip_distance:g} miles: {number:.4g}"
            for ride, number in zip(UNIT_PROBES, numbers.tolist(), strict=True)
        )
        raise ModelUnavailable(
            "the model has no metadata, so its predictions would be taken for minutes, which they cannot be "
            f"({shown}). If it predicts a logarithm, wrap it: TransformedTargetRegressor(model, "
            "func=numpy.log1p, inverse_func=numpy.expm1). Otherwise log it with "
            'metadata={"target": …, "unit": …}'
        )


@contextmanager
def _self_test() -> Iterator[None]:
    try:
        yield
    except ImplausiblePrediction as error:
        raise ModelUnavailable(f"the model fails its self-test: {error}") from error


def _load_scorer(folder: ModelFolder, description: ModelDescription, allow_pickle: bool) -> LoadedScorer:
    names = [column.name for column in description.columns]
    if len(set(names)) < len(names):
        raise ModelUnavailable("the model's signature has duplicate column names")
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
