"""Traffic: how many requests a second, over time, and the moments at which they come."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

HOUR = 3600.0
DAY = 24 * HOUR
RIDES_BY_HOUR = (
    *(578, 339, 210, 172, 481, 1009, 2034, 3806, 5683, 6565, 6836, 6515),
    *(6385, 6159, 5982, 5801, 5693, 5334, 4412, 3285, 2476, 1667, 1282, 1123),
)
"""Green taxis of New York in March 2021, counted by the hour of the pick-up."""
MINUTES_APART = 5
PARTS = 24 * 60 // MINUTES_APART
"""Of a day."""
CONSTANT_SECONDS = 600.0
BURST = 20
BURST_SECONDS = 60.0
BURST_BEFORE, BURST_AFTER = 120.0, 420.0
"""Quiet seconds around it: the last minute's average must have forgotten it at the end."""


@dataclass(frozen=True)
class Profile:
    """A stretch of traffic."""

    name: str
    label: str
    """With its rate."""
    seconds: float
    rates: Floats
    """Requests a second in each of equally long parts of it."""

    @property
    def mean(self) -> float:
        """Requests a second."""
        return float(self.rates.mean())

    @property
    def peak(self) -> float:
        """Requests a second in its busiest part."""
        return float(self.rates.max())

    def steps(self, seconds: float) -> Floats:
        """The rate in each step of so many seconds."""
        middles = (np.arange(round(self.seconds / seconds)) + 0.5) * seconds
        rates: Floats = self.rates[(middles / self.seconds * len(self.rates)).astype(int)]
        return rates

    def arrivals(self, seed: int) -> Floats:
        """The seconds at which requests come: a Poisson process, ascending."""
        generator = np.random.default_rng(seed)
        length = self.seconds / len(self.rates)
        counts = generator.poisson(self.rates * length)
        begins = np.repeat(np.arange(len(self.rates)) * length, counts)
        return np.sort(begins + generator.uniform(0, length, int(counts.sum())))


def constant(rate: float) -> Profile:
    """Ten minutes at one rate."""
    return Profile("constant", f"constant, {speed(rate)}", CONSTANT_SECONDS, np.array([rate]))


def burst(rate: float) -> Profile:
    """Ten minutes with one minute of twenty times the rate."""
    parts = int((BURST_BEFORE + BURST_SECONDS + BURST_AFTER) / BURST_SECONDS)
    rates = np.full(parts, rate)
    rates[int(BURST_BEFORE / BURST_SECONDS)] *= BURST
    label = f"burst from {rate:,.6g} to {speed(rate * BURST)}"
    return Profile("burst", label, parts * BURST_SECONDS, rates)


def taxi_day(rate: float, counts: Floats | None = None) -> Profile:
    """A day of New York's taxis, scaled.

    Args:
        rate: requests a second, on average over the day.
        counts: rides in each of `PARTS`; without them those of `RIDES_BY_HOUR`, from hour to hour evenly.
    """
    # The middle of a part, in hours; the counts are those of the middles of hours.
    middles = (np.arange(PARTS) + 0.5) * MINUTES_APART / 60
    rides = np.interp(middles, np.arange(24) + 0.5, RIDES_BY_HOUR, period=24) if counts is None else counts
    return Profile("day", f"taxis' day, {speed(rate)}", DAY, rides / rides.mean() * rate)


PROFILES: dict[str, Callable[[float], Profile]] = {
    "constant": constant,
    "day": taxi_day,
    "burst": burst,
}


def speed(rate: float) -> str:
    """A rate in words: seconds, or hours if it is slow."""
    return f"{rate:,.4g}/s" if rate >= 1 else f"{rate * HOUR:,.4g}/h"


def rides_by_part(place: str) -> Floats:
    """Rides in each five minutes of the day, over a whole month of trips.

    Args:
        place: as `read_trips` takes it.

    Raises:
        FileAccessError: the place cannot be read.
    """
    # Pandas takes a second to import, and only this needs it.
    from jobs.trips.cleaning import read_trips

    times = read_trips([place]).pickup_datetime.dropna().dt
    minutes = (times.hour * 60 + times.minute).to_numpy()
    return np.bincount(minutes // MINUTES_APART, minlength=PARTS).astype(float)
