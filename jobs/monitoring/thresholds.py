"""Thresholds of a report, and the checks against them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from math import isfinite, nan, sqrt
from typing import NamedTuple, Self

from functions.errors import RidecastError
from jobs.monitoring.accuracy import Accuracy
from jobs.monitoring.coverage import Coverage
from jobs.monitoring.drift import MIN_RIDES, Drift

SIGMAS = 3.0
"""Standard errors by which sampling noise may lift an error or a share above its threshold."""
OVERFIT_FACTOR = 1.2
"""A model's RMSE on unseen rides is at most this many times its RMSE on the rides it was trained on."""


class Baseline(NamedTuple):
    """Errors to expect of a model, in minutes; NaN if unknown."""

    rmse: float = nan
    bias: float = nan


NO_BASELINE = Baseline()


class InvalidThreshold(RidecastError):
    """A limit cannot be parsed; the message says what to write."""


@dataclass(frozen=True)
class Thresholds:
    """Thresholds for many rides; each check adds what sampling noise alone can do with few.

    docs/monitoring.md gives usual values for New York's green taxis and the reasons for these thresholds.
    """

    psi: float = 0.1
    """Population stability index of each feature."""
    rmse_factor: float = 1.25
    """Multiple of the RMSE on the model's held-out rides."""
    bias: float = 2.0
    """Minutes by which the mean of predicted − actual may move up or down: a tenth of a ride."""
    unseen_zones: float = 0.01
    """Share of rides from or to unseen zones, above the expected share."""
    unseen_pairs: float = 0.1
    """Share of rides between unseen pairs of zones, above the expected share."""
    rejected: float = 0.05
    """Increase of the share of rejected rides over the reference."""

    @classmethod
    def parse(cls, options: Sequence[str]) -> Self:
        """Applies options such as `psi=0.2` to the defaults; raises InvalidThreshold."""
        names = {field.name for field in fields(cls)}
        values = {}
        for option in options:
            name, _, number = option.partition("=")
            try:
                values[name] = float(number)
            except ValueError:
                values[name] = nan
            if name not in names or not values[name] >= 0:
                raise InvalidThreshold(
                    f"{option} is not a valid limit: write NAME=NUMBER, where NAME is one of "
                    f"{', '.join(sorted(names))}"
                )
        return cls(**values)


@dataclass(frozen=True)
class Check:
    """A measured value and its limit."""

    name: str
    """As in MLflow, for example `drift/psi/trip_distance`."""
    value: float
    limit: float
    """The threshold plus the allowance for sampling noise."""
    unit: str = ""
    detail: str = ""
    """What contributes most to the value."""

    @property
    def failed(self) -> bool:
        """Whether the value exceeds the limit."""
        return self.value > self.limit

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        detail = f", {self.detail}" if self.detail else ""
        return f"{self.name} {self.value:.3g}{unit} (limit {self.limit:.3g}){detail}"


def run_checks(
    thresholds: Thresholds,
    drifts: list[Drift],
    accuracy: Accuracy | None,
    coverage: Coverage,
    baseline: Baseline,
) -> list[Check]:
    """Checks everything that has a threshold and enough rides to be measured."""
    return [
        *_drift_checks(thresholds, drifts),
        *(_error_checks(thresholds, accuracy, baseline) if accuracy else ()),
        *_coverage_checks(thresholds, coverage),
    ]


def _drift_checks(thresholds: Thresholds, drifts: list[Drift]) -> Iterator[Check]:
    for drift in drifts:
        if drift.has_enough_rides:
            limit = thresholds.psi + drift.psi_noise
            yield Check(f"drift/psi/{drift.name}", drift.psi, limit, detail=drift.largest_change)


def _error_checks(thresholds: Thresholds, accuracy: Accuracy, baseline: Baseline) -> Iterator[Check]:
    if accuracy.rides < MIN_RIDES:
        return
    limit = thresholds.rmse_factor * baseline.rmse + SIGMAS * accuracy.rmse_stderr
    if isfinite(limit):
        yield Check("rmse", accuracy.overall.rmse, limit, "minutes")
    if isfinite(baseline.bias):
        bias = accuracy.overall.bias
        limit = thresholds.bias + SIGMAS * accuracy.bias_stderr
        detail = f"predicted − actual was {baseline.bias:+.2f}, is {bias:+.2f}"
        yield Check("bias", abs(bias - baseline.bias), limit, "minutes", detail)


def _coverage_checks(thresholds: Thresholds, coverage: Coverage) -> Iterator[Check]:
    if coverage.rides < MIN_RIDES:
        return
    zones_limit = thresholds.unseen_zones + coverage.expected_unseen_zones
    pairs_limit = thresholds.unseen_pairs + coverage.expected_unseen_pairs
    rejected_limit = thresholds.rejected + coverage.reference_rejected_share
    for name, share, limit in (
        ("coverage/unseen_zones", coverage.unseen_zones, zones_limit),
        ("coverage/unseen_pairs", coverage.unseen_pairs, pairs_limit),
        ("rejected", coverage.rejected_share, rejected_limit),
    ):
        if isfinite(share) and isfinite(limit):
            stderr = sqrt(max(limit * (1 - limit), 0) / coverage.rides)
            yield Check(name, share, limit + SIGMAS * stderr, "of the rides")
