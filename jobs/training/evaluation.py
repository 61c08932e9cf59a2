"""Evaluates a model on held-out rides: errors overall, by borough and by hour, and importances."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Self

import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from functions.features import RideColumns
from functions.zones import ZONES
from jobs.metrics import Minutes, RegressionMetrics, metrics_by_group
from jobs.training.pipeline import COLUMNS, SEED, feature_frame
from jobs.trips.records import to_ride_columns, without_pickup_time

IMPORTANCE_RIDES = 5_000
"""Size of the sample on which importances are computed; enough to rank the columns."""


@dataclass(frozen=True)
class Evaluation:
    """A model's predictions for held-out rides, with and without their pick-up times."""

    trips: pd.DataFrame
    predicted: Minutes
    """With pick-up times, [n]."""
    predicted_without_pickup_time: Minutes

    @classmethod
    def compute(cls, predict: Callable[[RideColumns], Minutes], trips: pd.DataFrame) -> Self:
        """Predicts clean trips, see `clean_trips`."""
        rides = to_ride_columns(trips)
        return cls(trips, predict(rides), predict(without_pickup_time(rides)))

    @property
    def actual(self) -> Minutes:
        """Actual durations, [n]."""
        return self.trips.duration.to_numpy()

    def metrics(self) -> dict[str, float]:
        """All metrics by their names in MLflow: overall, without pick-up times, by borough and by hour."""
        without = asdict(RegressionMetrics.compute(self.predicted_without_pickup_time, self.actual))
        return {
            **asdict(RegressionMetrics.compute(self.predicted, self.actual)),
            **{f"{name}_without_pickup_time": value for name, value in without.items()},
            **{f"rmse_by_borough/{name}": row.rmse for name, row in self.by_borough().iterrows()},
            **{f"rmse_by_hour/{name:02d}": row.rmse for name, row in self.by_hour().iterrows()},
        }

    def by_borough(self) -> pd.DataFrame:
        """One row per borough of the pick-up: `metrics_by_group`, and rmse_without_pickup_time."""
        boroughs = {number: zone.borough for number, zone in ZONES.items()}
        return self._by(self.trips.PULocationID.map(boroughs))

    def by_hour(self) -> pd.DataFrame:
        """The same per hour of the pick-up."""
        return self._by(self.trips.pickup_datetime.dt.hour)

    def _by(self, groups: "pd.Series[Any]") -> pd.DataFrame:
        metrics = metrics_by_group(groups, self.predicted, self.actual)
        without = metrics_by_group(groups, self.predicted_without_pickup_time, self.actual)
        return metrics.assign(rmse_without_pickup_time=without.rmse)


def permutation_importances(pipeline: Pipeline, trips: pd.DataFrame) -> "pd.Series[float]":
    """RMSE increase in minutes when one column is shuffled, by column name, in descending order.

    Columns that carry nearly the same information, such as a zone and its centre, share their importance.

    Args:
        trips: clean trips; a sample of them is used.
    """
    sample = trips.sample(min(len(trips), IMPORTANCE_RIDES), random_state=SEED)
    result = permutation_importance(
        pipeline,
        feature_frame(to_ride_columns(sample)),
        sample.duration.to_numpy(),
        scoring="neg_root_mean_squared_error",
        n_repeats=1,
        random_state=SEED,
    )
    return pd.Series(result.importances_mean, COLUMNS).sort_values(ascending=False)
