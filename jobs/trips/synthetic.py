"""A model of a city that takes taxi rides, for a laptop without a network.

Seeded: a month is the same every time it is made. In short:

where from   A zone's popularity is its borough's share of green taxis' pick-ups, spread log-normally over
             the borough's zones; few rides begin in Manhattan south of 96th Street, as their licence wants.
where to     A zone's popularity times exp(−miles / 2.4).
when         By a profile of the week, and one of the day that is busy from 8 to 18 o'clock.
how far      The streets' way, |along| + |across| Manhattan's grid (turned by 29°) between the zones'
             centres, times a detour that is the pair's own, and what is driven inside the zones.
how long     2.2 minutes to get going and to stop, and the way at the hour's speed: on working days 24 mph at
             five in the morning and 10.6 at four in the afternoon; faster on long ways and at weekends,
             slower in Manhattan. The way's time is multiplied by exp(N(0, 0.2)): luck, which no model learns.
dirt         As in real months, in about their shares: distances not recorded or absurd, meters left running
             or stopped at once, pick-ups in other years, zones unknown.
"""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from functions.zones import ZONES

SEED = 1811
"""The year in which Manhattan's streets were laid out."""
RIDES_A_MONTH = 60_000

BOROUGH_SHARES = {
    "Manhattan": 0.39,
    "Brooklyn": 0.28,
    "Queens": 0.19,
    "Bronx": 0.137,
    "Staten Island": 0.003,
}
"""Of the pick-ups."""
UPTOWN_LATITUDE = 40.785
"""96th Street."""
DOWNTOWN_SHARE = 0.08
"""Of what a zone south of it would have without the rule."""
GRAVITY_MILES = 2.4
UNKNOWN_ZONE = 264

WEEKDAY_SHARES = np.array([14.0, 14.5, 14.5, 15.0, 16.0, 14.0, 12.0])
"""Pick-ups by weekday, per cent, from Monday."""
HOUR_SHARES = np.array(
    [8, 5, 4, 3, 5, 12, 23, 46, 66, 79, 81, 76, 75, 78, 75, 72, 70, 58, 50, 42, 30, 20, 15, 11]
)
"""Pick-ups by hour, parts."""

MILES_AN_HOUR = np.array(
    [
        [17.5, 17.5, 18.0, 20.0, 22.0, 24.0, 19.5, 15.5, 13.8, 13.2, 13.0, 12.8],
        [12.4, 11.8, 11.2, 10.9, 10.6, 10.8, 11.8, 13.0, 14.4, 15.0, 16.0, 16.8],
    ]
).ravel()
"""Under way, by the hour of the pick-up."""
WEEKEND_SPEED = 1.10
MANHATTAN_SPEED = 0.88
LONG_WAY_SPEED = 0.06
"""Faster by this part for each mile, up to ten miles: highways."""
MINUTES_AT_ENDS = 2.2
LUCK = 0.2
"""Standard deviation of the logarithm of a ride's own factor."""

_GRID = np.radians(29.0)
_MILES_A_DEGREE = np.array([52.4, 69.0])
"""East and north at New York's 40.7° N."""

Numbers = npt.NDArray[np.float64]
Indexes = npt.NDArray[np.int64]


def write_month(month: date, path: Path, rides: int = RIDES_A_MONTH, pace: float = 1.0) -> None:
    """Writes `generate_month` as a Parquet file."""
    pq.write_table(generate_month(month, rides, pace), path)


def generate_month(month: date, rides: int = RIDES_A_MONTH, pace: float = 1.0) -> pa.Table:
    """One month of trips, dirt included, in the columns of TLC's green months, by pick-up time.

    Args:
        month: its first day.
        rides: number of rows.
        pace: of the traffic; at 0.5 the same ways take twice the time.
    """
    city = City()
    draw = np.random.default_rng([SEED, month.toordinal()])
    start, end = city.draw_ways(rides, draw)
    pickup = _draw_pickups(month, rides, draw)
    miles = city.miles[start, end] * draw.lognormal(0, 0.08, rides) + draw.gamma(2, 0.25, rides)
    under_way = 60 * miles / (pace * city.speeds(start, end, miles, pickup))
    minutes = MINUTES_AT_ENDS + under_way * draw.lognormal(0, LUCK, rides)
    trips = {
        "pickup": pickup,
        "minutes": minutes,
        "miles": miles,
        "start": city.zones[start],
        "end": city.zones[end],
    }
    _soil(trips, draw)
    return _table(trips)


class City:
    """The zones, how popular each one is, and how far each is from each other."""

    def __init__(self) -> None:
        draw = np.random.default_rng(SEED)
        served = {zone: place for zone, place in ZONES.items() if place.borough in BOROUGH_SHARES}
        self.zones = np.array(list(served))
        boroughs = np.array([place.borough for place in served.values()])
        centres = np.array([[place.longitude, place.latitude] for place in served.values()], float)
        self._in_manhattan = boroughs == "Manhattan"

        popularity = draw.lognormal(0, 1, len(self.zones))
        downtown = self._in_manhattan & (centres[:, 1] < UPTOWN_LATITUDE)
        departures = np.where(downtown, popularity * DOWNTOWN_SHARE, popularity)
        for borough, share in BOROUGH_SHARES.items():
            here = boroughs == borough
            departures[here] *= share / departures[here].sum()
            popularity[here] *= share / popularity[here].sum()
        self._departures = departures

        east, north = (centres * _MILES_A_DEGREE).T
        along = east * np.sin(_GRID) + north * np.cos(_GRID)
        across = east * np.cos(_GRID) - north * np.sin(_GRID)
        detours = draw.lognormal(0.05, 0.1, (len(self.zones), len(self.zones)))
        self.miles: Numbers = detours * (
            np.abs(np.subtract.outer(along, along)) + np.abs(np.subtract.outer(across, across))
        )
        """From each zone's centre to each other's, by index."""
        pull = popularity * np.exp(-self.miles / GRAVITY_MILES)
        shares = (pull / pull.sum(axis=1, keepdims=True)).cumsum(axis=1)
        shares[:, -1] = 1.0
        # One rising list of all rows: row n lies between n and n + 1.
        self._arrivals = (shares + np.arange(len(shares))[:, None]).ravel()

    def draw_ways(self, rides: int, draw: np.random.Generator) -> tuple[Indexes, Indexes]:
        """Pick-up and drop-off zones, as indexes into `zones`."""
        start = draw.choice(len(self.zones), rides, p=self._departures)
        way = np.searchsorted(self._arrivals, start + draw.random(rides), side="right")
        return start, way % len(self.zones)

    def speeds(self, start: Indexes, end: Indexes, miles: Numbers, pickup: Any) -> Numbers:
        """Miles an hour under way; `pickup` is datetime64[s]."""
        minutes = pickup.astype("datetime64[m]").astype(np.int64)
        # Between two hours the traffic changes gradually; it is as listed in the middle of an hour.
        by_hour = np.interp(minutes / 60 % 24, np.arange(24) + 0.5, MILES_AN_HOUR, period=24)
        weekday = (minutes // 1440 + 3) % 7  # 1970 began on a Thursday
        in_manhattan = (self._in_manhattan[start] * 0.5 + self._in_manhattan[end] * 0.5) > 0.5
        speeds: Numbers = (
            by_hour
            * np.where(weekday >= 5, WEEKEND_SPEED, 1)
            * np.where(in_manhattan, MANHATTAN_SPEED, 1)
            * (1 + LONG_WAY_SPEED * np.minimum(miles, 10))
        )
        return speeds


def _draw_pickups(month: date, rides: int, draw: np.random.Generator) -> Any:
    """Sorted times as datetime64[s]."""
    first = np.datetime64(month, "D")
    days = np.arange(first, (first.astype("datetime64[M]") + 1).astype("datetime64[D]"))
    shares = WEEKDAY_SHARES[(days.astype(np.int64) + 3) % 7]
    day = draw.choice(days, rides, p=shares / shares.sum())
    hour = draw.choice(24, rides, p=HOUR_SHARES / HOUR_SHARES.sum())
    second = hour * 3600 + draw.integers(0, 3600, rides)
    return np.sort(day.astype("datetime64[s]") + second.astype("timedelta64[s]"))


def _soil(trips: dict[str, Any], draw: np.random.Generator) -> None:
    """Puts the dirt of a real month into some of the rows."""

    def some(share: float) -> npt.NDArray[np.bool_]:
        return draw.random(len(trips["miles"])) < share

    trips["miles"][some(0.033)] = 0.0  # not recorded
    absurd = some(0.0008)
    trips["miles"][absurd] = draw.uniform(1_000, 100_000, absurd.sum())
    forgotten = some(0.012)  # the meter ran on
    trips["minutes"][forgotten] = draw.uniform(60, 1439, forgotten.sum())
    trips["minutes"][some(0.015)] = 0.4  # stopped at once
    trips["pickup"][some(0.0001)] -= np.timedelta64(12 * 365, "D")
    trips["start"][some(0.0035)] = UNKNOWN_ZONE
    trips["end"][some(0.008)] = UNKNOWN_ZONE


def _table(trips: dict[str, Any]) -> pa.Table:
    lasted = (trips["minutes"] * 60).round().astype("timedelta64[s]")
    return pa.table(
        {
            "lpep_pickup_datetime": trips["pickup"].astype("datetime64[us]"),
            "lpep_dropoff_datetime": (trips["pickup"] + lasted).astype("datetime64[us]"),
            "PULocationID": trips["start"],
            "DOLocationID": trips["end"],
            "trip_distance": trips["miles"].round(2),
        }
    )
