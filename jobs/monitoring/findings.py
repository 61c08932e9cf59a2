"""The findings of a report: drift, accuracy and coverage of current rides, checked against thresholds."""

from dataclasses import dataclass
from math import isfinite

from functions.errors import RidecastError
from jobs.monitoring.accuracy import Accuracy, measure_accuracy
from jobs.monitoring.binning import FEATURES
from jobs.monitoring.coverage import Coverage, measure_coverage
from jobs.monitoring.dataset import Rides
from jobs.monitoring.drift import MIN_RIDES, Drift, align_hours_of_week, measure_drift
from jobs.monitoring.thresholds import NO_BASELINE, OVERFIT_FACTOR, Baseline, Check, Thresholds, run_checks
from jobs.ui.text import count

MIN_KNOWN_SHARE = 0.01
"""Share of the rides from which it matters that they are the reference's own."""


class CannotReport(RidecastError):
    """There is nothing to report on or to compare with; the message says which option to give."""


@dataclass(frozen=True)
class Findings:
    """What a report found."""

    versions: tuple[str, ...]
    """Model versions with compared predictions, newest first."""
    rides: int
    reference_rides: int
    aligned_rides: tuple[int, int]
    """Current and reference rides checked for drift: those in the same hours of the week."""
    drifts: list[Drift]
    accuracy: Accuracy | None
    """None if no ride has both a prediction and an actual duration."""
    baseline: Baseline
    coverage: Coverage
    thresholds: Thresholds
    checks: list[Check]
    subject: str = ""
    """Names of the current rides' files."""
    title: str = ""
    """The same in short: `green 2021-03`."""
    reference: str = ""
    """Names of the reference's files."""
    run_id: str = ""
    """MLflow run of the report; empty if it was not logged."""
    run_page: str = ""
    """The run in MLflow's UI; empty if it was not logged to a server."""

    @property
    def failed_checks(self) -> list[Check]:
        """Checks whose value exceeds the limit, the worst ratio first."""
        failed = [check for check in self.checks if check.failed]
        return sorted(failed, key=lambda check: check.limit / check.value)

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failed_checks

    @property
    def verdict(self) -> str:
        """The result in a sentence without a full stop."""
        if not self.checks:
            rides, reference_rides = self.aligned_rides
            return (
                f"nothing could be checked: {count(rides, 'ride')} compared with {reference_rides:,}, and "
                f"each side needs {MIN_RIDES}"
            )
        if self.ok:
            return f"all {count(len(self.checks), 'check')} are within their limits"
        failed = len(self.failed_checks)
        exceed = "exceeds its limit" if failed == 1 else "exceed their limits"
        return f"{failed} of {count(len(self.checks), 'check')} {exceed}"

    @property
    def warning(self) -> str:
        """Why the verdict says little, and what to do, in a sentence; empty if it does not."""
        if not self.checks:
            return "Report on more rides: whole months, or a longer part of the stream with --since."
        known, rides = self.coverage.known_rides, self.coverage.rides
        if known < MIN_KNOWN_SHARE * rides:
            return ""
        which = "These rides are" if known == rides else f"{known:,} of {rides:,} rides are"
        return (
            f"{which} those that the model learned from, which hides drift and errors: report on later rides."
        )


def compare(
    current: Rides, reference: Rides, thresholds: Thresholds, held_out: Baseline = NO_BASELINE
) -> Findings:
    """Compares current rides with the reference; raises CannotReport if one side has no rides.

    `held_out` are the model's errors on held-out rides; unknown ones are estimated from the reference.
    """
    for rides, purpose in ((current, "report on"), (reference, "compare with")):
        if not len(rides):
            raise CannotReport(f"no rides to {purpose}; {rides.rejected.total():,} were rejected")
    accuracy, reference_accuracy = measure_accuracy(current), measure_accuracy(reference)
    estimate = NO_BASELINE
    if reference_accuracy:
        errors = reference_accuracy.overall
        estimate = Baseline(errors.rmse * OVERFIT_FACTOR, errors.bias)
    baseline = Baseline._make(
        known if isfinite(known) else estimated for known, estimated in zip(held_out, estimate, strict=True)
    )
    aligned, aligned_reference = align_hours_of_week(current, reference)
    drifts = [measure_drift(feature, aligned, aligned_reference) for feature in FEATURES]
    coverage = measure_coverage(current, reference)
    return Findings(
        versions=tuple(accuracy.by_version.index) if accuracy else (),
        rides=len(current),
        reference_rides=len(reference),
        aligned_rides=(len(aligned), len(aligned_reference)),
        drifts=drifts,
        accuracy=accuracy,
        baseline=baseline,
        coverage=coverage,
        thresholds=thresholds,
        checks=run_checks(thresholds, drifts, accuracy, coverage, baseline),
    )
