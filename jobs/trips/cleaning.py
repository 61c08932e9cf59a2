"""Months of trips as a table to learn from: read whole, cleaned, counted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from functions.rides import LONGEST_TRIP_MILES
from jobs.trips.records import Trips, broken_rules, mended_distances, minutes_of, open_trips

BATCH_ROWS = 1 << 20


def read_trips(places: Sequence[str]) -> pd.DataFrame:
    """The trips of all places, one after the other, exactly as recorded.

    Args:
        places: Parquet files of green or yellow trips: paths, `gs://bucket/name` or `https://…`.

    Returns:
        The columns of `Trips`; drop-off times may be missing altogether, as in a month that is only to be
        predicted.

    Raises:
        FileAccessError: a place is missing, forbidden, not Parquet, or without a needed column.
    """
    read = [_no_trips()]
    for place in places:
        with open_trips(place) as file:
            read += [pd.DataFrame(file.trips(batch)._asdict()) for batch in file.batches(BATCH_ROWS)]
    return pd.concat(read, ignore_index=True)


def _no_trips() -> pd.DataFrame:
    types = {name: "datetime64[us]" if name.endswith("datetime") else np.float64 for name in Trips._fields}
    return pd.DataFrame({name: np.empty(0, kind) for name, kind in types.items()})


@dataclass(frozen=True)
class CleanTrips:
    """Trips that can be learned from, and what became of the others."""

    trips: pd.DataFrame
    """As read, with whole zone ids and `duration` in minutes; the index is as it was."""
    dropped: dict[str, int]
    """Rule → number of trips that it took out; a trip counts for the first rule it breaks."""
    mended: dict[str, int]
    """Rule → number of kept trips with a value that it replaced."""


def clean_trips(trips: pd.DataFrame) -> CleanTrips:
    """Keeps the rides between two known zones that lasted 1 to 60 minutes.

    A distance that no taxi drives is an odometer's fault, not a ride that did not happen: it becomes 0,
    and the ride stays.

    Args:
        trips: as `read_trips` gives them.
    """
    duration = minutes_of(trips)
    breaks = {"pick-up or drop-off time missing": np.isnan(duration), **broken_rules(trips)}
    keep = np.ones(len(trips), bool)
    dropped = {}
    for rule, broken in breaks.items():
        dropped[rule] = int((keep & broken).sum())
        keep &= ~broken

    kept = trips[keep].assign(duration=duration[keep])
    miles = mended_distances(kept)
    mended = {
        f"distance missing, not above 0 or over {LONGEST_TRIP_MILES:g} miles, now 0": int(
            (miles != kept.trip_distance).sum()
        )
    }
    whole = {"PULocationID": np.int64, "DOLocationID": np.int64}
    return CleanTrips(kept.astype(whole).assign(trip_distance=miles), dropped, mended)
