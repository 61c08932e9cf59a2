"""What became of rows: counts, means and errors, which add up over batches."""

from collections import Counter
from dataclasses import dataclass, field
from math import sqrt
from typing import Self

import numpy as np

from jobs.scoring.protocols import Numbers


@dataclass
class Outcome:
    """Of the rows so far: rows = predicted + rejected."""

    predicted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """Reason → rows."""
    mended: Counter[str] = field(default_factory=Counter)
    """What was taken as unknown → predicted rows."""
    total: float = 0.0
    """Sum of the predictions."""
    compared: int = 0
    """Predicted rows whose target is known."""
    off: float = 0.0
    squared: float = 0.0
    """Sums over these of the absolute and the squared differences."""

    @classmethod
    def of(cls, numbers: Numbers, actual: Numbers) -> Self:
        """Of predicted rows, [n] each; NaN where nobody knows what was."""
        diff = (actual - numbers)[~np.isnan(actual)]
        return cls(
            predicted=len(numbers),
            total=float(numbers.sum()),
            compared=len(diff),
            off=float(np.abs(diff).sum()),
            squared=float((diff**2).sum()),
        )

    def add(self, other: "Outcome") -> None:
        """Takes in what became of other rows."""
        self.predicted += other.predicted
        self.rejected += other.rejected
        self.mended += other.mended
        self.total += other.total
        self.compared += other.compared
        self.off += other.off
        self.squared += other.squared

    @property
    def rows(self) -> int:
        return self.predicted + self.rejected.total()

    @property
    def mean(self) -> float:
        """Of the predictions; NaN if there are none."""
        return self.total / self.predicted if self.predicted else float("nan")

    @property
    def mae(self) -> float:
        """Mean absolute error; NaN where nothing is known."""
        return self.off / self.compared if self.compared else float("nan")

    @property
    def rmse(self) -> float:
        """Root of the mean squared error; NaN where nothing is known."""
        return sqrt(self.squared / self.compared) if self.compared else float("nan")
