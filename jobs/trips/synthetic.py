"""Synthetic taxi trips, modelled on New York's green taxis, for machines without a network.

Seeded: a month is the same every time it is generated. The model in short:

pick-up      Each borough gets its share of green taxis' pick-ups, spread log-normally over its zones. Few
             trips start in Manhattan south of 96th Street, where green taxis may not pick up.
drop-off     Proportional to the zone's popularity times exp(−miles / 2.4).
time         Drawn from a profile of the week and one of the day, which is busy from 8 to 18 o'clock.
distance     Distance along Manhattan's grid (turned by 29°) between the zones' centres, times a detour
             factor for the pair of zones, plus the miles driven inside the zones.
duration     2.2 minutes to set off and stop, plus the driving time at the speed of the hour: on working days
             24 mph at 5:00 and 10.6 mph at 16:00; faster on long trips and at weekends, slower in Manhattan.
             The driving time is multiplied by exp(N(0, 0.2)), noise that no model can learn.
bad records  About as many as in real months: distances missing or absurd, meters left running or stopped at
             once, pick-ups in other years, unknown zones.
"""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from functions.zones import ZONES
from jobs.storage.atomic import atomic_write

SEED = 1811
"""The year of the plan for Manhattan's street grid."""
RIDES_PER_MONTH = 60_000

BOROUGH_SHARES = {
    "Manhattan": 0.39,
    "Brooklyn": 0.28,
    "Queens": 0.19,
    "Bronx": 0.137,
    "Staten Island": 0.003,
}
"""Share of the pick-ups per borough."""
UPTOWN_LATITUDE = 40.785
"""Latitude of 96th Street."""
DOWNTOWN_SHARE = 0.08
"""Pick-ups south of 96th Street, relative to what the zones would have without the restriction."""
GRAVITY_MILES = 2.4
UNKNOWN_ZONE = 264

WEEKDAY_SHARES = np.array([14.0, 14.5, 14.5, 15.0, 16.0, 14.0, 12.0])
"""Per cent of the pick-ups per weekday, from Monday."""
HOUR_SHARES = np.array(
    [8, 5, 4, 3, 5, 12, 23, 46, 66, 79, 81, 76, 75, 78, 75, 72, 70, 58, 50, 42, 30, 20, 15, 11]
)
"""Relative number of pick-ups per hour."""

SPEEDS_MPH = np.array(
    [
        [17.5, 17.5, 18.0, 20.0, 22.0, 24.0, 19.5, 15.5, 13.8, 13.2, 13.0, 12.8],
        [12.4, 11.8, 11.2, 10.9, 10.6, 10.8, 11.8, 13.0, 14.4, 15.0, 16.0, 16.8],
    ]
).ravel()
"""Driving speed by hour of the pick-up."""
WEEKEND_SPEED_FACTOR = 1.10
MANHATTAN_SPEED_FACTOR = 0.88
SPEED_GAIN_PER_MILE = 0.06
"""Relative speed gain per mile of the trip, up to ten miles: longer trips use highways."""
STOP_MINUTES = 2.2
NOISE_SIGMA = 0.2
"""Standard deviation of the logarithm of the noise factor of a trip's driving time."""

COLUMNS = {
    "green": {
        "pickup": "lpep_pickup_datetime",
        "dropoff": "lpep_dropoff_datetime",
        "start": "PULocationID",
        "end": "DOLocationID",
        "miles": "trip_distance",
    },
    "yellow": {
        "pickup": "tpep_pickup_datetime",
        "dropoff": "tpep_dropoff_datetime",
        "start": "PULocationID",
        "end": "DOLocationID",
        "miles": "trip_distance",
    },
    "fhvhv": {
        "pickup": "pickup_datetime",
        "dropoff": "dropoff_datetime",
        "start": "PULocationID",
        "end": "DOLocationID",
        "miles": "trip_miles",
    },
    "fhv": {
        "pickup": "pickup_datetime",
        "dropoff": "dropOff_datetime",
        "start": "PUlocationID",
        "end": "DOlocationID",
    },
}
"""Taxi → the names of TLC's columns."""
MARK = b"generated_by"
"""Key of the metadata that tells a generated file from TLC's."""

_GRID_ANGLE = np.radians(29.0)
_MILES_PER_DEGREE = np.array([52.4, 69.0])
"""East and north at New York's 40.7° N."""

Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def write_month(
    month: date, path: Path, rides: int = RIDES_PER_MONTH, speed_factor: float = 1.0, taxi: str = "green"
) -> None:
    """Writes `generate_month` as a Parquet file, which is complete or absent.

    Raises:
        FileAccessError: it cannot be written.
    """
    with atomic_write(str(path)) as file:
        pq.write_table(generate_month(month, rides, speed_factor, taxi), file)


def is_generated(path: Path) -> bool:
    """Whether `write_month` wrote this Parquet file."""
    return MARK in (pq.read_schema(path).metadata or {})


def generate_month(
    month: date, rides: int = RIDES_PER_MONTH, speed_factor: float = 1.0, taxi: str = "green"
) -> pa.Table:
    """One month of trips in TLC's columns, sorted by pick-up time, with bad records.

    Args:
        month: its first day.
        rides: number of rows.
        speed_factor: multiplies all driving speeds; at 0.5 the same trips take twice the driving time.
        taxi: one of `COLUMNS`. All taxis make the same trips, under their own columns.
    """
    city = City()
    rng = np.random.default_rng([SEED, month.toordinal()])
    start, end = city.sample_zones(rides, rng)
    pickup = _sample_pickups(month, rides, rng)
    miles = city.miles[start, end] * rng.lognormal(0, 0.08, rides) + rng.gamma(2, 0.25, rides)
    driving = 60 * miles / (speed_factor * city.speeds(start, end, miles, pickup))
    minutes = STOP_MINUTES + driving * rng.lognormal(0, NOISE_SIGMA, rides)
    trips = {
        "pickup": pickup,
        "minutes": minutes,
        "miles": miles,
        "start": city.zones[start],
        "end": city.zones[end],
    }
    _add_noise(trips, rng)
    return _table(trips, taxi)


class City:
    """The taxi zones: how popular each is, and the distance between any two."""

    def __init__(self) -> None:
        rng = np.random.default_rng(SEED)
        served = {number: zone for number, zone in ZONES.items() if zone.borough in BOROUGH_SHARES}
        self.zones = np.array(list(served))
        boroughs = np.array([zone.borough for zone in served.values()])
        centres = np.array([[zone.longitude, zone.latitude] for zone in served.values()], float)
        self._in_manhattan = boroughs == "Manhattan"

        popularity = rng.lognormal(0, 1, len(self.zones))
        downtown = self._in_manhattan & (centres[:, 1] < UPTOWN_LATITUDE)
        departures = np.where(downtown, popularity * DOWNTOWN_SHARE, popularity)
        for borough, share in BOROUGH_SHARES.items():
            in_borough = boroughs == borough
            departures[in_borough] *= share / departures[in_borough].sum()
            popularity[in_borough] *= share / popularity[in_borough].sum()
        self._departures = departures

        east, north = (centres * _MILES_PER_DEGREE).T
        along = east * np.sin(_GRID_ANGLE) + north * np.cos(_GRID_ANGLE)
        across = east * np.cos(_GRID_ANGLE) - north * np.sin(_GRID_ANGLE)
        detours = rng.lognormal(0.05, 0.1, (len(self.zones), len(self.zones)))
        self.miles: Numbers = detours * (
            np.abs(np.subtract.outer(along, along)) + np.abs(np.subtract.outer(across, across))
        )
        """Driving distance between the zones' centres, by index: [zones, zones]."""
        attraction = popularity * np.exp(-self.miles / GRAVITY_MILES)
        shares = (attraction / attraction.sum(axis=1, keepdims=True)).cumsum(axis=1)
        shares[:, -1] = 1.0
        # All rows as one ascending list, for a single searchsorted: row n lies between n and n + 1.
        self._arrivals = (shares + np.arange(len(shares))[:, None]).ravel()

    def sample_zones(self, rides: int, rng: np.random.Generator) -> tuple[Indices, Indices]:
        """Pick-up and drop-off zones, as indices into `zones`."""
        start = rng.choice(len(self.zones), rides, p=self._departures)
        pair = np.searchsorted(self._arrivals, start + rng.random(rides), side="right")
        return start, pair % len(self.zones)

    def speeds(self, start: Indices, end: Indices, miles: Numbers, pickup: Any) -> Numbers:
        """Driving speeds in mph, [n]; `pickup` is datetime64[s]."""
        minutes = pickup.astype("datetime64[m]").astype(np.int64)
        # SPEEDS_MPH holds for the middle of each hour; between them, traffic changes gradually.
        by_hour = np.interp(minutes / 60 % 24, np.arange(24) + 0.5, SPEEDS_MPH, period=24)
        weekday = (minutes // 1440 + 3) % 7  # 1970-01-01 was a Thursday
        in_manhattan = (self._in_manhattan[start] * 0.5 + self._in_manhattan[end] * 0.5) > 0.5
        speeds: Numbers = (
            by_hour
            * np.where(weekday >= 5, WEEKEND_SPEED_FACTOR, 1)
            * np.where(in_manhattan, MANHATTAN_SPEED_FACTOR, 1)
            * (1 + SPEED_GAIN_PER_MILE * np.minimum(miles, 10))
        )
        return speeds


def _sample_pickups(month: date, rides: int, rng: np.random.Generator) -> Any:
    """Sorted times as datetime64[s]."""
    first = np.datetime64(month, "D")
    days = np.arange(first, (first.astype("datetime64[M]") + 1).astype("datetime64[D]"))
    shares = WEEKDAY_SHARES[(days.astype(np.int64) + 3) % 7]
    day = rng.choice(days, rides, p=shares / shares.sum())
    hour = rng.choice(24, rides, p=HOUR_SHARES / HOUR_SHARES.sum())
    second = hour * 3600 + rng.integers(0, 3600, rides)
    return np.sort(day.astype("datetime64[s]") + second.astype("timedelta64[s]"))


def _add_noise(trips: dict[str, Any], rng: np.random.Generator) -> None:
    """Turns some of the rows into the bad records of a real month."""

    def sample(share: float) -> npt.NDArray[np.bool_]:
        return rng.random(len(trips["miles"])) < share

    trips["miles"][sample(0.033)] = 0.0  # not recorded
    absurd = sample(0.0008)
    trips["miles"][absurd] = rng.uniform(1_000, 100_000, absurd.sum())
    left_running = sample(0.012)
    trips["minutes"][left_running] = rng.uniform(60, 1439, left_running.sum())
    trips["minutes"][sample(0.015)] = 0.4  # meter stopped at once
    trips["pickup"][sample(0.0001)] -= np.timedelta64(12 * 365, "D")
    trips["start"][sample(0.0035)] = UNKNOWN_ZONE
    trips["end"][sample(0.008)] = UNKNOWN_ZONE


def _table(trips: dict[str, Any], taxi: str) -> pa.Table:
    duration = (trips["minutes"] * 60).round().astype("timedelta64[s]")
    columns = {
        "pickup": trips["pickup"].astype("datetime64[us]"),
        "dropoff": (trips["pickup"] + duration).astype("datetime64[us]"),
        "start": trips["start"],
        "end": trips["end"],
        "miles": trips["miles"].round(2),
    }
    table = pa.table({name: columns[content] for content, name in COLUMNS[taxi].items()})
    return table.replace_schema_metadata({MARK: b"ridecast"})
