"""Statistics of scored rows: counts, means and errors, which add up over batches."""

from collections import Counter
from dataclasses import dataclass, field, fields
from math import sqrt
from typing import Self

import numpy as np

from functions.model import FloatArray


@dataclass
class ScoringStats:
    """Counts and sums over scored rows; rows = predicted + rejected."""

    predicted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """Reason → number of rows."""
    repaired: Counter[str] = field(default_factory=Counter)
    """Impossible value that was replaced by "unknown" → number of predicted rows."""
    prediction_sum: float = 0.0
    prediction_deviation: float = 0.0
    """Sum of the predictions' squared deviations from their mean."""
    compared: int = 0
    """Number of predicted rows whose actual value is known; the next two sum over these."""
    absolute_error_sum: float = 0.0
    squared_error_sum: float = 0.0

    @classmethod
    def of(cls, predictions: FloatArray, actual: FloatArray) -> Self:
        """Statistics of predicted rows, [n] each; `actual` is NaN where unknown."""
        diff = (actual - predictions)[~np.isnan(actual)]
        return cls(
            predicted=len(predictions),
            prediction_sum=float(predictions.sum()),
            prediction_deviation=float(predictions.var() * len(predictions)) if len(predictions) else 0.0,
            compared=len(diff),
            absolute_error_sum=float(np.abs(diff).sum()),
            squared_error_sum=float((diff**2).sum()),
        )

    def add(self, other: "ScoringStats") -> None:
        """Adds the statistics of other rows."""
        if self.predicted and other.predicted:
            # Chan's formula: a sum of squares would lose the digits that matter.
            weight = self.predicted * other.predicted / (self.predicted + other.predicted)
            self.prediction_deviation += (other.mean - self.mean) ** 2 * weight
        for name in (each.name for each in fields(self)):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def rows(self) -> int:
        return self.predicted + self.rejected.total()

    @property
    def mean(self) -> float:
        """Mean prediction; NaN if there is none."""
        return self.prediction_sum / self.predicted if self.predicted else float("nan")

    @property
    def standard_deviation(self) -> float:
        """Of the predictions, as numpy's `std`; NaN if there is none."""
        return sqrt(self.prediction_deviation / self.predicted) if self.predicted else float("nan")

    @property
    def mae(self) -> float:
        """Mean absolute error; NaN if no actual value is known."""
        return self.absolute_error_sum / self.compared if self.compared else float("nan")

    @property
    def rmse(self) -> float:
        """Root mean squared error; NaN if no actual value is known."""
        return sqrt(self.squared_error_sum / self.compared) if self.compared else float("nan")
