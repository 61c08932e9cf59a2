"""Prediction errors: overall, by borough, hour, zone pair and model version."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from functions.features import ZoneIds
from functions.zones import ZONES
from jobs.metrics import Minutes, RegressionMetrics, metrics_by_group
from jobs.monitoring.dataset import Rides, version_sort_key

MIN_RIDES_PER_PAIR = 30
"""Rides between two zones from which the pair can be among the worst."""
WORST_PAIRS = 10


@dataclass(frozen=True)
class Accuracy:
    """Errors on the rides with both a prediction and an actual duration, in minutes.

    The tables have the columns rides, rmse, mae, p90 and bias.
    """

    rides: int
    overall: RegressionMetrics
    rmse_stderr: float
    bias_stderr: float
    by_borough: pd.DataFrame
    """By the borough of the pick-up."""
    by_hour: pd.DataFrame
    """By the hour of the pick-up, 0 to 23."""
    by_pair: pd.DataFrame
    """The worst zone pairs, highest RMSE first, by their names."""
    by_version: pd.DataFrame
    """Each model version on all rides that it predicted, newest first."""


def measure_accuracy(rides: Rides) -> Accuracy | None:
    """Errors of predictions; None if no ride has both a prediction and an actual duration."""
    complete = ~np.isnan(rides.predicted) & ~np.isnan(rides.actual)
    if not complete.any():
        return None
    compared = rides.select(complete)
    columns, predicted, actual = compared.columns, compared.predicted, compared.actual
    diff = predicted - actual
    overall = RegressionMetrics.compute(predicted, actual)
    boroughs = pd.Series(columns.PULocationID).map({zone_id: zone.borough for zone_id, zone in ZONES.items()})
    return Accuracy(
        rides=len(diff),
        overall=overall,
        rmse_stderr=float((diff**2).std() / (2 * max(overall.rmse, 1e-9)) / np.sqrt(len(diff))),
        bias_stderr=float(diff.std() / np.sqrt(len(diff))),
        by_borough=metrics_by_group(boroughs, predicted, actual),
        by_hour=metrics_by_group(pd.Series(columns.pickup_minute // 60), predicted, actual).rename(index=int),
        by_pair=_worst_pairs(columns.PULocationID, columns.DOLocationID, predicted, actual),
        by_version=_by_version(rides),
    )


def _worst_pairs(pickup: ZoneIds, dropoff: ZoneIds, predicted: Minutes, actual: Minutes) -> pd.DataFrame:
    pairs, pair_index, rides = np.unique(pickup * 1000 + dropoff, return_inverse=True, return_counts=True)
    mse = np.bincount(pair_index, weights=(predicted - actual) ** 2) / rides
    frequent = np.flatnonzero(rides >= MIN_RIDES_PER_PAIR)
    worst = frequent[np.argsort(-mse[frequent], kind="stable")[:WORST_PAIRS]]
    rows = np.isin(pair_index, worst)
    if not rows.any():
        return pd.DataFrame(columns=["rides", "rmse", "mae", "p90", "bias"])
    errors = metrics_by_group(pd.Series(pairs[pair_index[rows]]), predicted[rows], actual[rows])
    return errors.sort_values("rmse", ascending=False).rename(index=_pair_name)


def _pair_name(pair: int) -> str:
    pickup, dropoff = ZONES[pair // 1000], ZONES[pair % 1000]
    return f"{pickup.name} → {dropoff.name}"


def _by_version(rides: Rides) -> pd.DataFrame:
    tables = []
    for version in sorted(rides.predictions_by_version, key=version_sort_key, reverse=True):
        predicted = rides.predictions_by_version[version]
        complete = ~np.isnan(predicted) & ~np.isnan(rides.actual)
        if complete.any():
            groups = pd.Series([version]).repeat(int(complete.sum()))
            tables.append(metrics_by_group(groups, predicted[complete], rides.actual[complete]))
    return pd.concat(tables)
