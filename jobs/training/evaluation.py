"""How far a model's predictions are from what rides took: overall, by borough, by hour, by column."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from functions.features import RideColumns
from functions.zones import ZONES
from jobs.metrics import Errors, Minutes, errors_by
from jobs.training.pipeline import COLUMNS, SEED, feature_frame
from jobs.trips.records import columns_of, without_pickup_time

IMPORTANCE_RIDES = 5_000
"""A sample is enough to rank columns."""


@dataclass(frozen=True)
class Evaluation:
    """A model's predictions for held-out rides, with and without their pick-up times, and their errors."""

    trips: pd.DataFrame
    timed: Minutes
    untimed: Minutes

    @classmethod
    def of(cls, predict: Callable[[RideColumns], Minutes], trips: pd.DataFrame) -> Self:
        rides = columns_of(trips)
        return cls(trips, predict(rides), predict(without_pickup_time(rides)))

    @property
    def actual(self) -> Minutes:
        return self.trips.duration.to_numpy()

    def metrics(self) -> dict[str, float]:
        """`rmse`, `mae`, `p90` with pick-up times; the same without; and the first by borough and hour."""
        without = asdict(Errors.of(self.untimed, self.actual))
        return {
            **asdict(Errors.of(self.timed, self.actual)),
            **{f"{name}_without_pickup_time": value for name, value in without.items()},
            **{f"rmse_by_borough/{name}": row.rmse for name, row in self.by_borough().iterrows()},
            **{f"rmse_by_hour/{name:02d}": row.rmse for name, row in self.by_hour().iterrows()},
        }

    def by_borough(self) -> pd.DataFrame:
        """One row for each borough in which rides begin: `errors_by`, and rmse_without_pickup_time."""
        boroughs = {zone: place.borough for zone, place in ZONES.items()}
        return self._by(self.trips.PULocationID.map(boroughs))

    def by_hour(self) -> pd.DataFrame:
        """One row for each hour of the day at the pick-up."""
        return self._by(self.trips.pickup_datetime.dt.hour)

    def _by(self, groups: "pd.Series[Any]") -> pd.DataFrame:
        untimed = errors_by(groups, self.untimed, self.actual)
        timed = errors_by(groups, self.timed, self.actual)
        return timed.assign(rmse_without_pickup_time=untimed.rmse)


def importance(pipeline: Pipeline, trips: pd.DataFrame) -> "pd.Series[float]":
    """By how many minutes the RMSE grows when a column's values are dealt out among the rides anew.

    Columns that say nearly the same, such as a zone and its centre, share their importance.

    Args:
        trips: clean trips; a sample of them is used.
    """
    sample = trips.sample(min(len(trips), IMPORTANCE_RIDES), random_state=SEED)
    frame, actual = feature_frame(columns_of(sample)), sample.duration.to_numpy()
    order = np.random.default_rng(SEED).permutation(len(sample))

    def rmse(frame: pd.DataFrame) -> float:
        return Errors.of(pipeline.predict(frame), actual).rmse

    whole = rmse(frame)
    grown = {name: rmse(frame.assign(**{name: frame[name].to_numpy()[order]})) - whole for name in COLUMNS}
    return pd.Series(grown).sort_values(ascending=False)
