"""Promotion gates: how a candidate must perform, next to the champion on the same held-out rides."""

import time
from dataclasses import dataclass
from typing import NamedTuple

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
UNKNOWN = "–"
"""In place of a value that was not measured."""


class HeldOut(NamedTuple):
    """Rides that no version was trained on."""

    rides: RideColumns
    minutes: Minutes
    """Their actual durations, [n]."""


@dataclass(frozen=True)
class VersionMetrics:
    """Measurements of one model version on the held-out rides."""

    rmse: float | None
    """Minutes; None without held-out rides."""
    rmse_without_pickup_time: float | None
    """Minutes, with the pick-up times removed; likewise."""
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


def measure(model: Model, held_out: HeldOut | None) -> VersionMetrics:
    """Measures a version, its errors only if there are held-out rides."""

    def rmse(rides: RideColumns, minutes: Minutes) -> float:
        return RegressionMetrics.compute(model.predict(rides), minutes).rmse

    return VersionMetrics(
        rmse=rmse(*held_out) if held_out else None,
        rmse_without_pickup_time=(
            rmse(without_pickup_time(held_out.rides), held_out.minutes) if held_out else None
        ),
        microseconds=_median_microseconds(model),
        megabytes=sum(file.size for file in model.release.files) / 1e6,
    )


def evaluate_gates(
    candidate: VersionMetrics,
    champion: VersionMetrics | None,
    parity_difference: float | None,
    tolerance: float,
    *,
    gate_error: bool,
) -> list[Gate]:
    """Compares a candidate with the thresholds and the champion.

    Args:
        champion: None if there is no champion to compare with.
        parity_difference: largest difference between its ONNX and scikit-learn models, in minutes; None if it
            does not have both.
        tolerance: minutes by which the candidate's RMSE may exceed the champion's.
        gate_error: whether to gate the RMSE at all.
    """

    def gate(name: str, unit: str, value: float | None, reference: float, limit: float) -> Gate:
        if value is None:
            return Gate(name, UNKNOWN, UNKNOWN, UNKNOWN, passed=True)
        digits = 5 if unit == "min" else 1
        return Gate(
            name,
            f"{value:.{digits}f} {unit}",
            f"{reference:.{digits}f} {unit}" if np.isfinite(reference) else UNKNOWN,
            f"≤ {limit:.{digits}f} {unit}" if np.isfinite(limit) else UNKNOWN,
            bool(value <= limit),  # false for NaN
        )

    def error_gate(name: str, rmse: float | None, champions: float | None) -> Gate:
        known = np.nan if champions is None else champions
        limit = known + tolerance if gate_error and np.isfinite(known) else np.inf
        return gate(name, "min", rmse, known, limit)

    reference = champion or VersionMetrics(None, None, np.nan, np.nan)
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
