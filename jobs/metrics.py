"""Error metrics of predictions, for all rides and by group."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

Minutes = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RegressionMetrics:
    """Errors of predictions, in minutes."""

    rmse: float
    """Root mean squared error."""
    mae: float
    """Mean absolute error."""
    p90: float
    """90 % of the rides have at most this absolute error."""
    bias: float
    """Mean of predicted − actual."""

    @classmethod
    def compute(cls, predicted: Minutes, actual: Minutes) -> Self:
        """The metrics of at least one ride; both arrays are [n] without NaN."""
        error = predicted - actual
        absolute = np.abs(error)
        return cls(
            float(np.sqrt(np.mean(absolute**2))),
            float(absolute.mean()),
            float(np.quantile(absolute, 0.9)),
            float(error.mean()),
        )


def metrics_by_group(groups: "pd.Series[Any]", predicted: Minutes, actual: Minutes) -> pd.DataFrame:
    """One row per group, with the columns rides, rmse, mae, p90, bias; all arguments are [n]."""
    rows = {}
    for group, indices in groups.reset_index(drop=True).groupby(groups.to_numpy()).indices.items():
        metrics = RegressionMetrics.compute(predicted[indices], actual[indices])
        rows[group] = {"rides": len(indices), **asdict(metrics)}
    return pd.DataFrame.from_dict(rows, orient="index")
