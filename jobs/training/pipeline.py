"""The model, a scikit-learn pipeline: target encoding of the pair of zones, then boosted trees.

The same model predicts rides with and without a pick-up time, so it is trained on each ride both ways.
"""

import os
from contextlib import AbstractContextManager

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import TargetEncoder
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from functions.features import RideColumns, feature_matrix
from jobs.metrics import Minutes
from jobs.training.hyperparameters import Hyperparameters
from jobs.trips.records import to_ride_columns

PAIR = "zone_pair"
"""Encoded as the mean duration of the rides between the two zones, in minutes."""
TIMES = ("pickup_minute", "pickup_weekday")
"""NaN for a ride without a pick-up time."""
COLUMNS = (
    PAIR,
    *TIMES,
    "known_distance",
    "zone_distance",
    "extra_miles",
    "pickup_longitude",
    "pickup_latitude",
    "dropoff_longitude",
    "dropoff_latitude",
)
"""The model's features in order. The pair comes first, where the encoder puts its output."""

SEED = 1
WEIGHT_WITHOUT_TIME = 0.5
"""Sample weight of a ride without its pick-up time, relative to the same ride with it."""


def new_pipeline(hyperparameters: Hyperparameters) -> Pipeline:
    """The unfitted pipeline: a frame of `COLUMNS` in float32 [n, columns] → minutes, float64 [n]."""
    encoder = TargetEncoder(
        target_type="continuous",
        smooth=hyperparameters.smoothing,
        cv=KFold(5, shuffle=True, random_state=SEED),
    )
    trees = HistGradientBoostingRegressor(
        max_iter=hyperparameters.trees,
        learning_rate=hyperparameters.learning_rate,
        max_leaf_nodes=hyperparameters.leaves,
        min_samples_leaf=hyperparameters.smallest_leaf,
        l2_regularization=hyperparameters.l2,
        max_features=hyperparameters.features_a_split,
        early_stopping=False,
        random_state=SEED,
    )
    # By position, because the ONNX model takes one matrix, whose columns have no names.
    pair = ColumnTransformer([("pair", encoder, [COLUMNS.index(PAIR)])], remainder="passthrough")
    return Pipeline([("encode", pair), ("trees", trees)])


def fit_pipeline(
    pipeline: Pipeline, trips: pd.DataFrame, half_life: float = Hyperparameters.half_life
) -> Pipeline:
    """Fits the pipeline on clean trips, with and without their pick-up times; returns it.

    The pairs are encoded before the rides are duplicated, and with cross-fitting: otherwise a ride's own
    duration would leak into its features. All inputs of the trees are rounded to float32, in which the
    served model computes, so that each falls on the same side of every threshold there.

    Args:
        trips: as returned by `clean_trips`.
        half_life: days, see `Hyperparameters`.
    """
    encode, trees = pipeline.named_steps["encode"], pipeline.named_steps["trees"]
    minutes = trips.duration.to_numpy()
    timed = encode.fit_transform(feature_frame(to_ride_columns(trips)), minutes).astype(np.float32)
    encoder = encode.named_transformers_["pair"]
    encoder.encodings_ = [table.astype(np.float32).astype(np.float64) for table in encoder.encodings_]
    encoder.target_mean_ = float(np.float32(encoder.target_mean_))

    untimed = timed.copy()
    untimed[:, [COLUMNS.index(name) for name in TIMES]] = np.nan
    weights = _recency_weights(trips.pickup_datetime, half_life)
    with limit_threads():
        trees.fit(
            np.concatenate([timed, untimed]),
            np.concatenate([minutes, minutes]),
            np.concatenate([weights, weights * WEIGHT_WITHOUT_TIME]),
        )
    _round_thresholds_down(trees)
    return pipeline


def limit_threads() -> AbstractContextManager[object]:
    """Limits scikit-learn in the body to all cores but one.

    Its threads spin while they wait for a busy core: one thread too many once made a fit take 119 s, not 8.
    """
    limits: AbstractContextManager[object] = threadpool_limits(max(1, (os.cpu_count() or 1) - 1), "openmp")
    return limits


def _round_thresholds_down(trees: HistGradientBoostingRegressor) -> None:
    """Rounds each threshold down to a float32.

    This changes nothing for float32 inputs. Without it, the conversion to ONNX would round to the nearest
    float32: a threshold between two neighbours could become the upper one, which then no longer exceeds it.
    """
    for (tree,) in trees._predictors:
        exact = tree.nodes["num_threshold"]
        nearest = exact.astype(np.float32)
        below = np.nextafter(nearest, np.float32(-np.inf))
        tree.nodes["num_threshold"] = np.where(nearest > exact, below, nearest)


def feature_frame(rides: RideColumns) -> pd.DataFrame:
    """The model's features of rides: float32 [n, columns]."""
    return pd.DataFrame(feature_matrix(rides, COLUMNS), columns=list(COLUMNS))


def _recency_weights(pickups: "pd.Series[pd.Timestamp]", half_life: float) -> Minutes:
    """Sample weights: 1 for the newest rides, almost 0 for those that a faulty clock dates years back."""
    # A clock may also run ahead, so the 99.9% quantile stands for the newest time.
    days = pickups.to_numpy("datetime64[s]").astype(np.float64) / 86_400
    ages = np.maximum(np.quantile(days, 0.999) - days, 0)
    weights: Minutes = 0.5 ** (ages / half_life)
    return weights
