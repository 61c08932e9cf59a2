"""A loaded model: ONNX first, scikit-learn second; rides in, numbers out."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from functions.artifacts import LARGEST_FILE, ModelFolder
from functions.errors import ImplausiblePrediction, ModelUnavailable, Problem
from functions.features import FEATURES, Features, RideColumns, ride_columns
from functions.mlmodel import LARGEST_DESCRIPTION, LARGEST_EXAMPLE, Description, Target, describe, identified
from functions.releases import Release
from functions.rides import Prediction, Ride

Numbers = npt.NDArray[np.float64]

USUAL_FILES = {
    "MLmodel": LARGEST_DESCRIPTION,
    "input_example.json": LARGEST_EXAMPLE,
    "model.onnx": LARGEST_FILE,
}
"""What loading mostly needs, by the names that MLflow gives, and the bytes that each may have."""
LARGEST_NUMBER = sys.float_info.max
TRIAL_RIDES = (Ride(130, 205, 3.66), Ride(43, 151, 0.0))
"""What every model of rides must give a number for: one with a distance, one without."""


class Scorer(Protocol):
    """A model in one of the formats it may come in."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it takes."""

    def score(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[Any]:
        """One number a row, from at least its columns."""


class Model:
    """A model that was tried and answers.

    Args:
        types: MLflow's types of its columns by their names; empty where no signature says so.
    """

    def __init__(
        self, release: Release, target: Target, scorer: Scorer, types: Mapping[str, str] | None = None
    ) -> None:
        self.release = release
        self.version = release.version
        """What each prediction says made it."""
        self.target = target
        self.columns = scorer.columns
        """Names of what it takes."""
        self.types = types or {}
        self._scorer = scorer
        # Infinity cannot be, even where no limit is known.
        self._least = np.array([max(target.minimum, -LARGEST_NUMBER)])
        self._most = np.array([min(target.maximum, LARGEST_NUMBER)])

    def predict_rides(self, rides: Sequence[Ride]) -> list[Prediction]:
        """One prediction a ride, in their order; see `predict`."""
        numbers = self.predict(ride_columns(rides))
        return [Prediction(number, self.target.target, self.version) for number in numbers.tolist()]

    def predict(self, rides: RideColumns) -> Numbers:
        """One number a ride, in the target's unit: float64, [rides].

        Raises:
            ModelUnavailable: the model failed.
            ImplausiblePrediction: it gave a number that cannot be.
        """
        return self.predict_table(Features(rides), len(rides.PULocationID))

    def predict_table(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> Numbers:
        """The same, from columns by name."""
        numbers = self.score(table, rows)
        if np.count_nonzero(self.plausible(numbers)) < rows:
            least, most = numbers.min(), numbers.max()
            raise ImplausiblePrediction(
                Problem(
                    "#",
                    f"version {self.version} of the model gives {least:g} to {most:g} {self.target.unit}, "
                    f"which cannot be: it must be {self.target.minimum:g} to {self.target.maximum:g}",
                )
            )
        return numbers

    def plausible(self, numbers: Numbers) -> npt.NDArray[np.bool_]:
        """Which of the numbers can be."""
        # NaN fails every comparison.
        return (numbers >= self._least) & (numbers <= self._most)

    def score(self, table: Mapping[str, npt.NDArray[Any]], rows: int) -> Numbers:
        """One number a row, plausible or not.

        Raises:
            ModelUnavailable: the model failed.
        """
        if not rows:
            return np.empty(0)
        try:
            numbers = self._scorer.score(table, rows).reshape(-1).astype(np.float64)
        except Exception as error:  # whatever a foreign model throws, the ride is not at fault
            raise ModelUnavailable(f"version {self.version} failed: {error}") from error
        if len(numbers) != rows:
            raise ModelUnavailable(f"version {self.version} gave {len(numbers)} numbers for {rows} rows")
        return numbers


def load_model(release: Release, *, allow_pickle: bool = False) -> Model:
    """Reads a release's model of rides and tries it on its own input example and on two rides.

    Args:
        allow_pickle: whether a pickled model may run its code in this process.

    Raises:
        ModelUnavailable: the files are not as released, or the model does not answer.
    """
    model = load_table_model(release, allow_pickle=allow_pickle)
    unknown = [name for name in model.columns if name not in FEATURES]
    if unknown:
        raise ModelUnavailable(
            f"the model asks for {', '.join(unknown)}, which no ride has; a ride has {', '.join(FEATURES)}"
        )
    with _trial():
        model.predict(ride_columns(TRIAL_RIDES))
    return model


def load_table_model(release: Release, *, allow_pickle: bool = False) -> Model:
    """The same for a model of any table, which is tried on its own input example alone."""
    folder = ModelFolder(release)
    with folder.fetching(USUAL_FILES):
        if any(file.path.endswith(".onnx") for file in release.files):
            from functions import onnx_model  # noqa: F401  # takes as long as the files take to come
        description = describe(folder)
        scorer = _scorer(folder, description, allow_pickle)
    if len(set(scorer.columns)) < len(scorer.columns):
        raise ModelUnavailable("the model names a column twice in its signature")
    types = {column.name: column.type for column in description.columns}
    model = Model(identified(release, description), description.target, scorer, types)
    if description.example:
        with _trial():
            model.predict_table(description.example, len(next(iter(description.example.values()))))
    return model


@contextmanager
def _trial() -> Iterator[None]:
    try:
        yield
    except ImplausiblePrediction as error:
        raise ModelUnavailable(f"the model fails its trial: {error}") from error


def _scorer(folder: ModelFolder, description: Description, allow_pickle: bool) -> Scorer:
    # Each format's library is imported only where a model comes in it.
    if "onnx" in description.flavors:
        from functions.onnx_model import load_onnx

        return load_onnx(folder, description)
    if "sklearn" in description.flavors:
        from functions.sklearn_model import load_sklearn

        return load_sklearn(folder, description, allow_pickle)
    flavors = ", ".join(sorted(description.flavors)) or "no"
    raise ModelUnavailable(
        f"the model has {flavors} flavors; onnx and sklearn are served. Log it with "
        "mlflow.onnx.log_model or mlflow.sklearn.log_model(serialization_format='skops')"
    )
