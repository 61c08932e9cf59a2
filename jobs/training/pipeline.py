"""The model: typical minutes of a pair of zones, then boosted trees, as a pipeline of scikit-learn.

One model answers for rides with and without a pick-up time, so each ride is learned both ways.
"""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import TargetEncoder
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from functions.features import RideColumns, feature_matrix
from jobs.trips.records import columns_of

Minutes = npt.NDArray[np.float64]

PAIR = "zone_pair"
"""Encoded as the minutes that rides between the two zones typically take."""
TIMES = ("pickup_minute", "pickup_weekday")
"""Unknown where a ride has no pick-up time."""
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
"""What the model takes, in this order: the pair first, where the encoder puts what it makes of it."""

SEED = 1
WEIGHT_WITHOUT_TIME = 0.5
"""Of a ride that is learned without its pick-up time, beside the same ride with it."""


@dataclass(frozen=True)
class Parameters:
    """What a training may vary; the defaults are for a month of green taxis."""

    trees: int = 200
    learning_rate: float = 0.12
    leaves: int = 63
    """Of a tree, at most."""
    smallest_leaf: int = 120
    """Rides, at least."""
    l2: float = 10.0
    features_a_split: float = 0.5
    """Share of the columns that each split may choose from."""
    smoothing: float = 20.0
    """Rides that the overall mean counts for beside a pair's own."""
    half_life: float = 14.0
    """Days after which a ride counts half: traffic drifts."""


def new_pipeline(parameters: Parameters) -> Pipeline:
    """The steps, not fitted; they take a frame of `COLUMNS` in float32 and give minutes, float64 [n]."""
    encoder = TargetEncoder(
        target_type="continuous",
        smooth=parameters.smoothing,
        cv=KFold(5, shuffle=True, random_state=SEED),
    )
    trees = HistGradientBoostingRegressor(
        max_iter=parameters.trees,
        learning_rate=parameters.learning_rate,
        max_leaf_nodes=parameters.leaves,
        min_samples_leaf=parameters.smallest_leaf,
        l2_regularization=parameters.l2,
        max_features=parameters.features_a_split,
        early_stopping=False,
        random_state=SEED,
    )
    # By position, because the model in ONNX takes one matrix, whose columns have no names.
    pair = ColumnTransformer([("pair", encoder, [COLUMNS.index(PAIR)])], remainder="passthrough")
    return Pipeline([("encode", pair), ("trees", trees)])


def fit_pipeline(
    pipeline: Pipeline, trips: pd.DataFrame, half_life: float = Parameters.half_life
) -> Pipeline:
    """Fits the pipeline to clean trips, with and without their pick-up times; gives it back.

    The pairs are encoded before the rides are doubled, and across folds: a ride's own duration, or its
    twin's, would otherwise be among its columns. All that enters the trees is rounded to float32, in
    which the served model computes, so that none falls on another side of a threshold there.
    """
    encode, trees = pipeline.named_steps["encode"], pipeline.named_steps["trees"]
    minutes = trips.duration.to_numpy()
    timed = encode.fit_transform(feature_frame(columns_of(trips)), minutes).astype(np.float32)
    encoder = encode.named_transformers_["pair"]
    encoder.encodings_ = [table.astype(np.float32).astype(np.float64) for table in encoder.encodings_]
    encoder.target_mean_ = float(np.float32(encoder.target_mean_))

    untimed = timed.copy()
    untimed[:, [COLUMNS.index(name) for name in TIMES]] = np.nan
    weights = _recency(trips.pickup_datetime, half_life)
    with one_core_less():
        trees.fit(
            np.concatenate([timed, untimed]),
            np.concatenate([minutes, minutes]),
            np.concatenate([weights, weights * WEIGHT_WITHOUT_TIME]),
        )
    _round_thresholds_down(trees)
    return pipeline


def one_core_less() -> AbstractContextManager[object]:
    """Leaves a core to others while the body fits or predicts with scikit-learn.

    Threads that wait for a busy core spin: one too many once made a fit of 8 s last 119 s.
    """
    limits: AbstractContextManager[object] = threadpool_limits(max(1, (os.cpu_count() or 1) - 1), "openmp")
    return limits


def _round_thresholds_down(trees: HistGradientBoostingRegressor) -> None:
    """Makes each threshold the largest float32 that is not above it.

    For values in float32 nothing changes. But the conversion to ONNX rounds to the nearest float32, and a
    threshold between two neighbours may become the upper one, which is then no longer above it.
    """
    for (tree,) in trees._predictors:
        exact = tree.nodes["num_threshold"]
        nearest = exact.astype(np.float32)
        below = np.nextafter(nearest, np.float32(-np.inf))
        tree.nodes["num_threshold"] = np.where(nearest > exact, below, nearest)


def feature_frame(rides: RideColumns) -> pd.DataFrame:
    """The model's columns of rides: float32 [n, columns]."""
    return pd.DataFrame(feature_matrix(rides, COLUMNS), columns=list(COLUMNS))


def _recency(pickups: "pd.Series[pd.Timestamp]", half_life: float) -> Minutes:
    """Weights, 1 for the newest rides; those that a faulty clock puts years back count nothing."""
    # A faulty clock may run ahead as well: the newest time is that of one ride in a thousand.
    days = pickups.to_numpy("datetime64[s]").astype(np.float64) / 86_400
    ages = np.maximum(np.quantile(days, 0.999) - days, 0)
    weights: Minutes = 0.5 ** (ages / half_life)
    return weights
