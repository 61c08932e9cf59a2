"""What a report finds: rides now beside those that the model learned from, and what is beyond its limit."""

from dataclasses import dataclass
from math import isfinite

from functions.errors import RidecastError
from jobs.monitoring.accuracy import Accuracy, accuracy_of
from jobs.monitoring.binning import FEATURES
from jobs.monitoring.coverage import Coverage, coverage_of
from jobs.monitoring.dataset import Rides
from jobs.monitoring.drift import Drift, drift_of, like_with_like
from jobs.monitoring.thresholds import LEARNED_BY_HEART, UNKNOWN, Limits, Measure, Usual, measure


class CannotReport(RidecastError):
    """There is nothing to report on, or nothing to compare it with; the text says what to give."""


@dataclass(frozen=True)
class Findings:
    """What a report found."""

    subject: str
    """The names of what it is about …"""
    reference: str
    """… and beside what."""
    versions: tuple[str, ...]
    """Of the models that predicted, the newest first."""
    rides: int
    reference_rides: int
    compared: tuple[int, int]
    """Of these, the rides in whose features drift was looked for: those in the same hours of the week."""
    drifts: list[Drift]
    accuracy: Accuracy | None
    """None where no ride was both predicted and has ended."""
    usual: Usual
    """Errors that are to be expected."""
    coverage: Coverage
    limits: Limits
    measures: list[Measure]
    """All that has a limit."""
    run_id: str = ""
    """Of the report in MLflow; empty if it is not there."""

    @property
    def exceeded(self) -> list[Measure]:
        """What is beyond its limit, the farthest first."""
        beyond = [measure for measure in self.measures if measure.exceeded]
        return sorted(beyond, key=lambda measure: measure.limit / measure.value)

    @property
    def passed(self) -> bool:
        """Whether nothing is."""
        return not self.exceeded


def compare(now: Rides, reference: Rides, limits: Limits, held_out: Usual = UNKNOWN) -> Findings:
    """What a report finds in rides.

    Args:
        held_out: errors of the model; where they are not known, those on the reference serve.

    Raises:
        CannotReport: on one of the sides there are no rides.
    """
    for rides, what in ((now, "report on"), (reference, "compare with")):
        if not len(rides):
            raise CannotReport(f"there is no ride to {what}: {rides.rejected.total():,} came, all rejected")
    accuracy, before = accuracy_of(now), accuracy_of(reference)
    known = Usual(before.overall.rmse * LEARNED_BY_HEART, before.overall.bias) if before else UNKNOWN
    usual = Usual._make(
        ours if isfinite(ours) else theirs for ours, theirs in zip(held_out, known, strict=True)
    )
    ours, theirs = like_with_like(now, reference)
    drifts = [drift_of(feature, ours, theirs) for feature in FEATURES]
    coverage = coverage_of(now, reference)
    return Findings(
        subject="",
        reference="",
        versions=tuple(accuracy.by_version.index) if accuracy else (),
        rides=len(now),
        reference_rides=len(reference),
        compared=(len(ours), len(theirs)),
        drifts=drifts,
        accuracy=accuracy,
        usual=usual,
        coverage=coverage,
        limits=limits,
        measures=measure(limits, drifts, accuracy, coverage, usual),
    )
