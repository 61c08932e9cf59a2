"""How far predictions are from what rides took, for all rides and by group."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

Minutes = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Errors:
    """How far predictions are off, in minutes."""

    rmse: float
    """Root of the mean squared error."""
    mae: float
    """Mean absolute error."""
    p90: float
    """Nine of ten rides are off by this or less."""
    bias: float
    """Mean of predicted − actual."""

    @classmethod
    def of(cls, predicted: Minutes, actual: Minutes) -> Self:
        """Of at least one ride: [n] each, nothing unknown."""
        diff = predicted - actual
        off = np.abs(diff)
        return cls(
            float(np.sqrt(np.mean(off**2))),
            float(off.mean()),
            float(np.quantile(off, 0.9)),
            float(diff.mean()),
        )


def errors_by(groups: "pd.Series[Any]", predicted: Minutes, actual: Minutes) -> pd.DataFrame:
    """By group: rides, rmse, mae, p90, bias."""
    rows = {}
    for group, places in groups.reset_index(drop=True).groupby(groups.to_numpy()).indices.items():
        rows[group] = {"rides": len(places), **asdict(Errors.of(predicted[places], actual[places]))}
    return pd.DataFrame.from_dict(rows, orient="index")
