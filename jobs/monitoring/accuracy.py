"""How far predictions are off: overall, by borough, hour, zone pair and model version."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from functions.features import Ids
from functions.zones import ZONES
from jobs.metrics import Errors, Minutes, errors_by
from jobs.monitoring.dataset import Rides, age

FEWEST_OF_A_PAIR = 30
"""Rides between two zones, for the pair to be among the worst."""
WORST_PAIRS = 10


@dataclass(frozen=True)
class Accuracy:
    """Of the rides that have ended and were predicted."""

    rides: int
    overall: Errors
    rmse_noise: float
    bias_noise: float
    """Standard errors of the two, as few as the rides are; minutes."""
    by_borough: pd.DataFrame
    """Of the pick-up; as all of these: rides, rmse, mae, p90, bias."""
    by_hour: pd.DataFrame
    """Of the pick-up, 0 to 23."""
    by_pair: pd.DataFrame
    """The worst by RMSE, with names for an index."""
    by_version: pd.DataFrame
    """Each of the versions on all that it predicted, the newest first."""


def accuracy_of(rides: Rides) -> Accuracy | None:
    """None where no ride was both predicted and has ended."""
    known = ~np.isnan(rides.predicted) & ~np.isnan(rides.actual)
    if not known.any():
        return None
    judged = rides.only(known)
    columns, predicted, actual = judged.columns, judged.predicted, judged.actual
    diff = predicted - actual
    overall = Errors.of(predicted, actual)
    boroughs = pd.Series(columns.PULocationID).map({zone: place.borough for zone, place in ZONES.items()})
    return Accuracy(
        len(diff),
        overall,
        float((diff**2).std() / (2 * max(overall.rmse, 1e-9)) / np.sqrt(len(diff))),
        float(diff.std() / np.sqrt(len(diff))),
        errors_by(boroughs, predicted, actual),
        errors_by(pd.Series(columns.pickup_minute // 60), predicted, actual).rename(index=int),
        _worst_pairs(columns.PULocationID, columns.DOLocationID, predicted, actual),
        _by_version(rides),
    )


def _worst_pairs(pickup: Ids, dropoff: Ids, predicted: Minutes, actual: Minutes) -> pd.DataFrame:
    pairs, of_ride, rides = np.unique(pickup * 1000 + dropoff, return_inverse=True, return_counts=True)
    squares = np.bincount(of_ride, weights=(predicted - actual) ** 2) / rides
    enough = np.flatnonzero(rides >= FEWEST_OF_A_PAIR)
    worst = enough[np.argsort(-squares[enough], kind="stable")[:WORST_PAIRS]]
    among = np.isin(of_ride, worst)
    if not among.any():
        return pd.DataFrame(columns=["rides", "rmse", "mae", "p90", "bias"])
    errors = errors_by(pd.Series(pairs[of_ride[among]]), predicted[among], actual[among])
    return errors.sort_values("rmse", ascending=False).rename(index=_name)


def _name(pair: int) -> str:
    pickup, dropoff = ZONES[pair // 1000], ZONES[pair % 1000]
    return f"{pickup.name} → {dropoff.name}"


def _by_version(rides: Rides) -> pd.DataFrame:
    tables = {}
    for version in sorted(rides.by_version, key=age, reverse=True):
        predicted = rides.by_version[version]
        known = ~np.isnan(predicted) & ~np.isnan(rides.actual)
        if known.any():
            same = pd.Series([version]).repeat(int(known.sum()))
            tables[version] = errors_by(same, predicted[known], rides.actual[known])
    return pd.concat(tables.values())
