"""Traffic profiles: request rates over time, and random arrival times that follow them."""

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
"""Rides of New York's green taxis in March 2021, by hour of the pick-up."""
PART_MINUTES = 5
PARTS = 24 * 60 // PART_MINUTES
"""Number of parts of a day."""
CONSTANT_SECONDS = 600.0
BURST = 20
BURST_SECONDS = 60.0
BURST_BEFORE, BURST_AFTER = 120.0, 420.0
"""Quiet seconds around the burst; at the end it must have left the autoscaler's average."""


@dataclass(frozen=True)
class TrafficProfile:
    """Request rates over some time."""

    name: str
    label: str
    """Description with the rate."""
    seconds: float
    rates: Floats
    """Requests a second in equally long parts of the time, [n]."""

    @property
    def mean(self) -> float:
        """Mean requests a second."""
        return float(self.rates.mean())

    @property
    def peak(self) -> float:
        """Requests a second in the busiest part."""
        return float(self.rates.max())

    def steps(self, seconds: float) -> Floats:
        """Returns the rate in each step of so many seconds."""
        middles = (np.arange(round(self.seconds / seconds)) + 0.5) * seconds
        rates: Floats = self.rates[(middles / self.seconds * len(self.rates)).astype(int)]
        return rates

    def arrivals(self, seed: int) -> Floats:
        """Returns random arrival times in seconds, ascending: a Poisson process."""
        generator = np.random.default_rng(seed)
        length = self.seconds / len(self.rates)
        counts = generator.poisson(self.rates * length)
        starts = np.repeat(np.arange(len(self.rates)) * length, counts)
        return np.sort(starts + generator.uniform(0, length, int(counts.sum())))


def constant(rate: float) -> TrafficProfile:
    """Ten minutes at a constant rate."""
    return TrafficProfile("constant", f"constant, {format_rate(rate)}", CONSTANT_SECONDS, np.array([rate]))


def burst(rate: float) -> TrafficProfile:
    """Ten minutes with one minute of twenty times the rate."""
    parts = int((BURST_BEFORE + BURST_SECONDS + BURST_AFTER) / BURST_SECONDS)
    rates = np.full(parts, rate)
    rates[int(BURST_BEFORE / BURST_SECONDS)] *= BURST
    label = f"burst from {rate:,.6g} to {format_rate(rate * BURST)}"
    return TrafficProfile("burst", label, parts * BURST_SECONDS, rates)


def taxi_day(rate: float, counts: Floats | None = None) -> TrafficProfile:
    """A day of New York's taxis, scaled.

    Args:
        rate: mean requests a second.
        counts: rides in each of `PARTS`; if None, `RIDES_BY_HOUR` is interpolated.
    """
    # Midpoints of the parts, in hours; the hourly counts apply to the midpoints of the hours.
    middles = (np.arange(PARTS) + 0.5) * PART_MINUTES / 60
    rides = np.interp(middles, np.arange(24) + 0.5, RIDES_BY_HOUR, period=24) if counts is None else counts
    return TrafficProfile("day", f"taxis' day, {format_rate(rate)}", DAY, rides / rides.mean() * rate)


TRAFFIC_PATTERNS: dict[str, Callable[[float], TrafficProfile]] = {
    "constant": constant,
    "day": taxi_day,
    "burst": burst,
}


def format_rate(rate: float) -> str:
    """Formats a rate per second, or per hour if it is low."""
    return f"{rate:,.4g}/s" if rate >= 1 else f"{rate * HOUR:,.4g}/h"


def count_rides(uri: str) -> Floats:
    """Counts the rides of a month by part of the day, [`PARTS`].

    Args:
        uri: a month of trips, as for `read_trips`.

    Raises:
        FileAccessError: the month cannot be read.
    """
    # Pandas takes a second to import, and only this function needs it.
    from jobs.trips.cleaning import read_trips

    times = read_trips([uri]).pickup_datetime.dropna().dt
    minutes = (times.hour * 60 + times.minute).to_numpy()
    return np.bincount(minutes // PART_MINUTES, minlength=PARTS).astype(float)
