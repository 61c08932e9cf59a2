"""Drift: how far the distribution of each feature has moved from the reference.

The measure is the population stability index, PSI = Σ (current − reference) · ln(current / reference) over
the shares of bins: deciles of the reference for numbers, the values themselves for hours, weekdays and zones.
For numbers, the Wasserstein distance also gives the shift in their own unit.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2, wasserstein_distance

from jobs.monitoring.binning import Feature, Numbers
from jobs.monitoring.dataset import Rides

MIN_RIDES = 100
"""With fewer rides on either side, a feature is not checked."""
FALSE_ALARM_RATE = 0.001
"""Probability that an unchanged feature exceeds its `psi_noise`, however few the rides."""
WEEK_HOURS = 168
MIN_DATE_SHARE = 0.01
"""Share of the rides below which a date is ignored in finding out which hours the rides span."""


@dataclass(frozen=True)
class Drift:
    """The current distribution of one feature and that of the reference."""

    name: str
    unit: str
    current_rides: int
    reference_rides: int
    """Rides with a value of this feature."""
    labels: list[str]
    reference: Numbers
    current: Numbers
    """Shares of the bins [b]; smoothed, so never 0."""
    psi_noise: float
    """The PSI that this many unchanged rides exceed with probability `FALSE_ALARM_RATE`."""
    wasserstein: float
    """Distance in the unit; NaN for categories."""

    @property
    def has_enough_rides(self) -> bool:
        """Whether both sides have `MIN_RIDES` rides."""
        return min(self.current_rides, self.reference_rides) >= MIN_RIDES

    @property
    def psi(self) -> float:
        """Population stability index; 0 if nothing has changed."""
        return float(self._psi_terms.sum())

    @property
    def largest_change(self) -> str:
        """The bin that adds most to the PSI: `Bronx: 12.0% → 55.0%`."""
        index = int(self._psi_terms.argmax())
        return f"{self.labels[index]}: {self.reference[index]:.1%} → {self.current[index]:.1%}"

    @property
    def _psi_terms(self) -> Numbers:
        terms: Numbers = (self.current - self.reference) * np.log(self.current / self.reference)
        return terms


def measure_drift(feature: Feature, current: Rides, reference: Rides) -> Drift:
    """Compares one feature of current and reference rides; either side may be empty."""
    values, reference_values = feature.values(current), feature.values(reference)
    numbers = [side[~np.isnan(side)] for side in (values, reference_values)]
    if not feature.missing_label:
        values, reference_values = numbers
    bins = feature.make_bins(reference_values)
    labels = [*bins.labels, feature.missing_label] if feature.missing_label else bins.labels
    counts = [np.bincount(bins.assign(side), minlength=len(labels)) for side in (reference_values, values)]
    # Additive smoothing: half a ride more in each bin keeps the PSI finite if a bin is empty.
    shares, current_shares = ((count + 0.5) / (count.sum() + 0.5 * len(labels)) for count in counts)
    psi_noise = np.inf
    if len(values) and len(reference_values):
        # For two samples of one population, PSI / (1/n + 1/m) follows χ² with bins − 1 degrees of freedom.
        quantile = chi2.ppf(1 - FALSE_ALARM_RATE, max(len(labels) - 1, 1))
        psi_noise = quantile * (1 / len(values) + 1 / len(reference_values))
    wasserstein = wasserstein_distance(*numbers) if feature.unit and all(map(len, numbers)) else np.nan
    return Drift(
        name=feature.name,
        unit=feature.unit,
        current_rides=len(values),
        reference_rides=len(reference_values),
        labels=labels,
        reference=shares,
        current=current_shares,
        psi_noise=float(psi_noise),
        wasserstein=float(wasserstein),
    )


def align_hours_of_week(current: Rides, reference: Rides) -> tuple[Rides, Rides]:
    """Restricts both sides to the same hours of the week if the current rides span less than a week.

    A Sunday, for example, is compared only with the reference's Sundays. Dates with hardly any rides, such as
    those of wrong clocks, do not extend the span.
    """
    hours = _hours(current)
    dates, counts = np.unique(hours[hours >= 0] // 24, return_counts=True)
    dates = dates[counts >= MIN_DATE_SHARE * counts.sum()]
    kept_hours = hours[np.isin(hours // 24, dates)]
    if not len(kept_hours) or kept_hours.max() - kept_hours.min() + 1 >= WEEK_HOURS:
        return current, reference
    span = np.arange(kept_hours.min(), kept_hours.max() + 1)
    reference_hours = _hours(reference)
    aligned = np.isin(reference_hours % WEEK_HOURS, span % WEEK_HOURS) & (reference_hours >= 0)
    return current.select(np.isin(hours, span)), reference.select(aligned)


def _hours(rides: Rides) -> npt.NDArray[np.int64]:
    """Hours from 1970 to each pick-up; -1 if unknown."""
    hours = rides.pickup.astype("datetime64[h]").astype(np.int64)
    return np.where(np.isnat(rides.pickup), -1, hours)
