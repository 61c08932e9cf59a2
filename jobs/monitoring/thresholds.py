"""What is too much: the limits of a report, and what passes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from math import isfinite, nan, sqrt
from typing import NamedTuple, Self

from functions.errors import RidecastError
from jobs.monitoring.accuracy import Accuracy
from jobs.monitoring.coverage import Coverage
from jobs.monitoring.drift import FEWEST_RIDES, Drift

SIGMAS = 3.0
"""Standard errors that an error or a share may be beyond its limit by the chance of few rides."""
LEARNED_BY_HEART = 1.2
"""Of rides that it learned from, a model's RMSE is less than of others by this factor at most."""


class Usual(NamedTuple):
    """Errors that are to be expected of a model, in minutes; NaN where nobody knows."""

    rmse: float = nan
    bias: float = nan


UNKNOWN = Usual()


class NoLimit(RidecastError):
    """A limit cannot be read; the text says what to write."""


@dataclass(frozen=True)
class Limits:
    """Of a report. Of few rides each is wider, by what chance alone can do.

    docs/monitoring.md has what is usual on New York's green taxis, and why these are the limits.
    """

    psi: float = 0.1
    """Of each feature's drift."""
    rmse_factor: float = 1.25
    """Times the RMSE that the model had on its held-out rides."""
    bias: float = 2.0
    """Minutes by which the mean of predicted − actual may have moved, up or down: a tenth of a ride."""
    unseen_zones: float = 0.01
    """Share of rides from or to zones that are new, beyond what chance brings."""
    unseen_pairs: float = 0.1
    """The same of pairs of zones."""
    rejected: float = 0.05
    """By which the share of rejected rides may be more than in the reference."""

    @classmethod
    def read(cls, words: Sequence[str]) -> Self:
        """The usual limits but for those that are given as `psi=0.2`; raises NoLimit where a word is none."""
        names = {field.name for field in fields(cls)}
        read = {}
        for word in words:
            name, _, number = word.partition("=")
            try:
                read[name] = float(number)
            except ValueError:
                read[name] = nan
            if name not in names or not read[name] >= 0:
                raise NoLimit(
                    f"{word} is no limit: write NAME=NUMBER, where NAME is {', '.join(sorted(names))}"
                )
        return cls(**read)


@dataclass(frozen=True)
class Measure:
    """One thing that has a limit."""

    name: str
    """As MLflow has it, `drift/psi/trip_distance`."""
    value: float
    limit: float
    """Of as few rides as these are; what is unlimited has infinity."""
    unit: str = ""
    detail: str = ""
    """Where most of it is."""

    @property
    def exceeded(self) -> bool:
        """Whether the limit is passed."""
        return self.value > self.limit

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name} is {self.value:.3g}{unit}, more than {self.limit:.3g}" + (
            f" ({self.detail})" if self.detail else ""
        )


def measure(
    limits: Limits,
    drifts: list[Drift],
    accuracy: Accuracy | None,
    coverage: Coverage,
    usual: Usual,
) -> list[Measure]:
    """All that has a limit, whether it is passed or not.

    Args:
        usual: errors that are to be expected.
    """
    return [
        *_of_drift(limits, drifts),
        *(_of_errors(limits, accuracy, usual) if accuracy else ()),
        *_of_coverage(limits, coverage),
    ]


def _of_drift(limits: Limits, drifts: list[Drift]) -> Iterator[Measure]:
    for drift in drifts:
        if drift.enough:
            yield Measure(f"drift/psi/{drift.name}", drift.psi, limits.psi + drift.chance, "", drift.most)


def _of_errors(limits: Limits, accuracy: Accuracy, usual: Usual) -> Iterator[Measure]:
    if accuracy.rides < FEWEST_RIDES:
        return
    most = limits.rmse_factor * usual.rmse + SIGMAS * accuracy.rmse_noise
    if isfinite(most):
        yield Measure("rmse", accuracy.overall.rmse, most, "minutes")
    if isfinite(usual.bias):
        bias = accuracy.overall.bias
        most = limits.bias + SIGMAS * accuracy.bias_noise
        what = f"predicted − actual was {usual.bias:+.2f}, is {bias:+.2f}"
        yield Measure("bias", abs(bias - usual.bias), most, "minutes", what)


def _of_coverage(limits: Limits, coverage: Coverage) -> Iterator[Measure]:
    if coverage.rides < FEWEST_RIDES:
        return
    shares = {
        "coverage/unseen_zones": (coverage.unseen_zones, limits.unseen_zones + coverage.expected_zones),
        "coverage/unseen_pairs": (coverage.unseen_pairs, limits.unseen_pairs + coverage.expected_pairs),
        "rejected": (coverage.rejected_share, limits.rejected + coverage.rejected_share_before),
    }
    for name, (share, most) in shares.items():
        if isfinite(share) and isfinite(most):
            noise = sqrt(max(most * (1 - most), 0) / coverage.rides)
            yield Measure(name, share, most + SIGMAS * noise, "of the rides")
