"""Promotion gates: how a candidate must perform, next to the champion on the same held-out rides."""

import time
from dataclasses import dataclass

import numpy as np

from functions.features import RideColumns, ride_columns
from functions.model import Model
from functions.rides import Ride
from jobs.metrics import Minutes, RegressionMetrics
from jobs.trips.records import without_pickup_time

RMSE_TOLERANCE_MINUTES = 0.05
"""By how much a candidate's RMSE may exceed the champion's: 1% of it, which no rider would notice."""
MAX_PARITY_DIFFERENCE = 0.001
"""Minutes between the ONNX and scikit-learn predictions for any one ride."""
MAX_MICROSECONDS = 500.0
"""Per ride, features and model: a slower model would halve the throughput of a function."""
MAX_MEGABYTES = 20.0
"""Size of all files of a model, which every cold start downloads."""

TIMED_RIDES = 300


@dataclass(frozen=True)
class VersionMetrics:
    """Measurements of one model version on the held-out rides."""

    rmse: float
    """Minutes."""
    rmse_without_pickup_time: float
    """Minutes, with the pick-up times removed."""
    microseconds: float
    """Median time to predict one ride, features and model."""
    megabytes: float
    """Size of all its files."""


@dataclass(frozen=True)
class Gate:
    """One requirement for a promotion, with the measured values as text."""

    name: str
    candidate: str
    champion: str
    threshold: str
    passed: bool


def measure(model: Model, rides: RideColumns, minutes: Minutes) -> VersionMetrics:
    """Measures a version.

    Args:
        rides, minutes: held-out rides and their actual durations, [n] each.
    """
    return VersionMetrics(
        rmse=RegressionMetrics.compute(model.predict(rides), minutes).rmse,
        rmse_without_pickup_time=RegressionMetrics.compute(
            model.predict(without_pickup_time(rides)), minutes
        ).rmse,
        microseconds=_median_microseconds(model),
        megabytes=sum(file.size for file in model.release.files) / 1e6,
    )


def evaluate_gates(
    candidate: VersionMetrics,
    champion: VersionMetrics | None,
    parity_difference: float,
    tolerance: float,
    *,
    gate_error: bool,
) -> list[Gate]:
    """Compares a candidate with the thresholds and the champion.

    Args:
        champion: None if there is no champion to compare with.
        parity_difference: largest difference between its ONNX and scikit-learn models, in minutes.
        tolerance: minutes by which the candidate's RMSE may exceed the champion's.
        gate_error: whether to gate the RMSE at all.
    """

    def gate(name: str, unit: str, value: float, reference: float, limit: float) -> Gate:
        digits = 5 if unit == "min" else 1
        return Gate(
            name,
            f"{value:.{digits}f} {unit}",
            f"{reference:.{digits}f} {unit}" if np.isfinite(reference) else "–",
            f"≤ {limit:.{digits}f} {unit}" if np.isfinite(limit) else "–",
            bool(value <= limit),  # false for NaN
        )

    def error_gate(name: str, rmse: float, reference: float) -> Gate:
        limit = reference + tolerance if gate_error and np.isfinite(reference) else np.inf
        return gate(name, "min", rmse, reference, limit)

    reference = champion or VersionMetrics(np.nan, np.nan, np.nan, np.nan)
    return [
        error_gate("RMSE", candidate.rmse, reference.rmse),
        error_gate(
            "RMSE without pick-up time",
            candidate.rmse_without_pickup_time,
            reference.rmse_without_pickup_time,
        ),
        gate("ONNX − scikit-learn", "min", parity_difference, np.nan, MAX_PARITY_DIFFERENCE),
        gate("one ride", "µs", candidate.microseconds, reference.microseconds, MAX_MICROSECONDS),
        gate("size", "MB", candidate.megabytes, reference.megabytes, MAX_MEGABYTES),
    ]


def _median_microseconds(model: Model) -> float:
    ride = Ride(130, 205, 3.66)
    seconds = []
    for _ in range(TIMED_RIDES):
        start = time.perf_counter()
        model.predict(ride_columns([ride]))
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)) * 1e6
