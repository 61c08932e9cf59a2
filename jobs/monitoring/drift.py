"""Are these still the rides that the model learned from? One answer for each feature.

The measure is the population stability index, PSI = Σ (now − before) · ln(now / before) over the shares of
bins: tenths of the reference for numbers, the values themselves for hours, weekdays and zones. Beside it, for
numbers, Wasserstein's distance says how far they have moved, in their own unit.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2, wasserstein_distance

from jobs.monitoring.binning import Feature, Numbers
from jobs.monitoring.dataset import Rides

FEWEST_RIDES = 100
"""With fewer on either side, nothing is said about a feature."""
CHANCE = 0.001
"""How often a feature that has not changed may be taken for changed, however few the rides."""
WEEK_HOURS = 168
SMALLEST_DATE = 0.01
"""Of the rides, for a date to be among those that a report is about."""


@dataclass(frozen=True)
class Drift:
    """One feature, now beside the reference."""

    name: str
    unit: str
    rides: int
    reference: int
    """Rides with this feature on each side."""
    labels: list[str]
    before: Numbers
    now: Numbers
    """Shares of the bins, which are not quite 0 where there is none."""
    chance: float
    """The PSI that unchanged rides exceed once in 1 / `CHANCE` times, as few as they are."""
    moved: float
    """Wasserstein's distance in the unit; NaN for what has none."""

    @property
    def enough(self) -> bool:
        """Whether there are rides enough to say anything."""
        return min(self.rides, self.reference) >= FEWEST_RIDES

    @property
    def psi(self) -> float:
        """0 where nothing has changed."""
        return float(self._parts.sum())

    @property
    def most(self) -> str:
        """Where most of it is: `Bronx 12 % → 55 %`."""
        place = int(self._parts.argmax())
        return f"{self.labels[place]}: {self.before[place]:.1%} → {self.now[place]:.1%}"

    @property
    def _parts(self) -> Numbers:
        parts: Numbers = (self.now - self.before) * np.log(self.now / self.before)
        return parts


def drift_of(feature: Feature, now: Rides, reference: Rides) -> Drift:
    """How a feature has changed; both may be without rides."""
    values, known = feature.values(now), feature.values(reference)
    numbers = [some[~np.isnan(some)] for some in (values, known)]
    if not feature.unknown:
        values, known = numbers
    bins = feature.bins(known)
    labels = [*bins.labels, feature.unknown] if feature.unknown else bins.labels
    counts = [np.bincount(bins.place(some), minlength=len(labels)) for some in (known, values)]
    # Half a ride more in each bin: a bin without any is not infinitely far.
    before, after = ((count + 0.5) / (count.sum() + 0.5 * len(labels)) for count in counts)
    chance = np.inf
    if len(values) and len(known):
        # Of rides drawn from one and the same city, PSI / (1/n + 1/m) is χ² with a bin less of freedom.
        chance = chi2.ppf(1 - CHANCE, max(len(labels) - 1, 1)) * (1 / len(values) + 1 / len(known))
    moved = np.nan
    if feature.unit and all(map(len, numbers)):
        moved = wasserstein_distance(*numbers)
    return Drift(
        *(feature.name, feature.unit, len(values), len(known), labels, before, after),
        float(chance),
        float(moved),
    )


def like_with_like(now: Rides, reference: Rides) -> tuple[Rides, Rides]:
    """Of less than a week, the rides and those of the reference that began in the same hours of the week.

    A Sunday is none of a month's days but its Sundays. Dates with next to no rides, such as those of clocks
    that are wrong, do not make the time longer.
    """
    hours = _hours(now)
    dates, counts = np.unique(hours[hours >= 0] // 24, return_counts=True)
    dates = dates[counts >= SMALLEST_DATE * counts.sum()]
    of_them = hours[np.isin(hours // 24, dates)]
    if not len(of_them) or of_them.max() - of_them.min() + 1 >= WEEK_HOURS:
        return now, reference
    span = np.arange(of_them.min(), of_them.max() + 1)
    same = np.isin(_hours(reference) % WEEK_HOURS, span % WEEK_HOURS) & (_hours(reference) >= 0)
    return now.only(np.isin(hours, span)), reference.only(same)


def _hours(rides: Rides) -> npt.NDArray[np.int64]:
    """Of the pick-ups since 1970; -1 where they are not known."""
    hours = rides.pickup.astype("datetime64[h]").astype(np.int64)
    return np.where(np.isnat(rides.pickup), -1, hours)
