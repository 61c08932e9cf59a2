"""The gates before promotion: what a candidate must show beside the champion, on the same rides."""

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from functions.features import RideColumns, ride_columns
from functions.model import Model
from functions.rides import Ride
from jobs.trips.records import without_pickup_time

TOLERANCE_MINUTES = 0.05
"""By which a candidate's RMSE may exceed the champion's: 1% of it, which no rider would notice."""
LARGEST_DIFFERENCE = 0.001
"""Minutes between ONNX and scikit-learn on any one ride: no rider could tell them apart."""
SLOWEST_MICROSECONDS = 500.0
"""For one ride, features and model: a model slower than that would halve what a function answers."""
LARGEST_MEGABYTES = 20.0
"""Of a model's files, which every cold start downloads."""

TIMED_RIDES = 300


@dataclass(frozen=True)
class Measures:
    """One version's figures on the held-out rides."""

    rmse: float
    """Minutes."""
    rmse_without_pickup_time: float
    """Minutes, with the pick-up times taken away."""
    microseconds: float
    """Median for one ride, features and model."""
    megabytes: float


@dataclass(frozen=True)
class Gate:
    """One thing that is asked of a candidate."""

    name: str
    candidate: str
    champion: str
    asked: str
    passed: bool


def measure(model: Model, rides: RideColumns, minutes: npt.NDArray[np.float64]) -> Measures:
    """A version's figures.

    Args:
        rides, minutes: held-out rides and how long they took, [n] each.
    """
    return Measures(
        rmse=_rmse(model.predict(rides), minutes),
        rmse_without_pickup_time=_rmse(model.predict(without_pickup_time(rides)), minutes),
        microseconds=_microseconds(model),
        megabytes=sum(file.size for file in model.release.files) / 1e6,
    )


def judge(
    candidate: Measures,
    champion: Measures | None,
    difference: float,
    tolerance: float,
    *,
    gate_error: bool,
) -> list[Gate]:
    """The gates, passed or not.

    Args:
        champion: None where there is none beside whom the candidate could stand.
        difference: largest between the candidate's ONNX and scikit-learn models, in minutes.
        tolerance: minutes by which the candidate's RMSE may exceed the champion's.
        gate_error: whether it is asked that it does not.
    """

    def gate(name: str, unit: str, ours: float, theirs: float, most: float) -> Gate:
        digits = 5 if unit == "min" else 1
        return Gate(
            name,
            f"{ours:.{digits}f} {unit}",
            f"{theirs:.{digits}f} {unit}" if np.isfinite(theirs) else "–",
            f"≤ {most:.{digits}f} {unit}" if np.isfinite(most) else "–",
            bool(ours <= most),  # false for NaN
        )

    def error_gate(name: str, ours: float, theirs: float) -> Gate:
        most = theirs + tolerance if gate_error and np.isfinite(theirs) else np.inf
        return gate(name, "min", ours, theirs, most)

    beside = champion or Measures(np.nan, np.nan, np.nan, np.nan)
    return [
        error_gate("RMSE", candidate.rmse, beside.rmse),
        error_gate(
            "RMSE without pick-up time",
            candidate.rmse_without_pickup_time,
            beside.rmse_without_pickup_time,
        ),
        gate("ONNX − scikit-learn", "min", difference, np.nan, LARGEST_DIFFERENCE),
        gate("one ride", "µs", candidate.microseconds, beside.microseconds, SLOWEST_MICROSECONDS),
        gate("size", "MB", candidate.megabytes, beside.megabytes, LARGEST_MEGABYTES),
    ]


def _rmse(predicted: npt.NDArray[np.float64], actual: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((predicted - actual) ** 2)))


def _microseconds(model: Model) -> float:
    ride = Ride(130, 205, 3.66)
    times = []
    for _ in range(TIMED_RIDES):
        began = time.perf_counter()
        model.predict(ride_columns([ride]))
        times.append(time.perf_counter() - began)
    return float(np.median(times)) * 1e6
