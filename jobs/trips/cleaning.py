"""Reads months of trips into a table and cleans it for training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from functions.rides import MAX_TRIP_MILES
from jobs.trips.records import (
    Trips,
    open_trips,
    repaired_distances,
    rule_violations,
    trip_minutes,
    unreadable_values,
)
from jobs.trips.trip_columns import TIMES

BATCH_ROWS = 1 << 20


def read_trips(uris: Sequence[str]) -> pd.DataFrame:
    """All trips of some files, exactly as recorded, in the order of the files.

    Args:
        uris: Parquet or CSV files of trips, folders or patterns: paths, `gs://BUCKET/NAME` or `https://…`.

    Returns:
        The columns of `Trips`. Drop-off times may be missing, as in a month that is only to be predicted.

    Raises:
        FileAccessError: a file is missing, forbidden, of another kind, or its columns are not those of trips.
    """
    types: dict[str, npt.DTypeLike] = dict.fromkeys(Trips._fields, np.float64)
    types |= dict.fromkeys(TIMES, "datetime64[us]") | {"unreadable": np.uint8}
    frames = [pd.DataFrame({name: np.empty(0, dtype) for name, dtype in types.items()})]
    for uri in uris:
        with open_trips(uri) as reader:
            frames += [pd.DataFrame(reader.trips(batch)._asdict()) for batch in reader.batches(BATCH_ROWS)]
    return pd.concat(frames, ignore_index=True)


@dataclass(frozen=True)
class CleanTrips:
    """Trips fit for training, and how many were dropped or repaired."""

    trips: pd.DataFrame
    """The valid trips with integer zone ids and `duration` in minutes; the index is unchanged."""
    dropped: dict[str, int]
    """Rule → number of trips dropped; a trip counts for the first rule that it violates."""
    repaired: dict[str, int]
    """Rule → number of kept trips in which it replaced a value."""


def clean_trips(trips: pd.DataFrame) -> CleanTrips:
    """Keeps the trips between two known zones that lasted 1 to 60 minutes.

    An impossible distance is an odometer error, not a reason to drop a trip: it becomes 0.

    Args:
        trips: as returned by `read_trips`.
    """
    duration = trip_minutes(trips)
    violations = {
        **unreadable_values(trips),
        "pick-up or drop-off time missing": np.isnan(duration),
        **rule_violations(trips),
    }
    keep = np.ones(len(trips), bool)
    dropped = {}
    for rule, violated in violations.items():
        dropped[rule] = int((keep & violated).sum())
        keep &= ~violated

    kept = trips[keep].drop(columns="unreadable").assign(duration=duration[keep])
    miles = repaired_distances(kept)
    repaired = {
        f"distance missing, not above 0 or over {MAX_TRIP_MILES:g} miles, now 0": int(
            (miles != kept.trip_distance).sum()
        )
    }
    integers = {"PULocationID": np.int64, "DOLocationID": np.int64}
    return CleanTrips(kept.astype(integers).assign(trip_distance=miles), dropped, repaired)
