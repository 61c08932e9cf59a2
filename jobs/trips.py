"""TLC's trip records: read from files, `gs://` and `https://`, cleaned, made into ride columns."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import requests
from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound, Unauthorized
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage

from functions.errors import RidecastError
from functions.features import RideColumns
from functions.rides import LAST_ZONE, LONGEST_TRIP_MILES, NEW_YORK

SHORTEST_MINUTES = 1.0
LONGEST_MINUTES = 60.0
"""Rides from the one to the other, inclusive, are what the model learns and is judged on."""

DOWNLOAD_SECONDS = 60.0
"""Longest silence of a server before its download is given up."""

_COLUMNS = {
    "PULocationID": ("pulocationid",),
    "DOLocationID": ("dolocationid",),
    "trip_distance": ("trip_distance",),
    "pickup_datetime": ("lpep_pickup_datetime", "tpep_pickup_datetime", "pickup_datetime"),
    "dropoff_datetime": ("lpep_dropoff_datetime", "tpep_dropoff_datetime", "dropoff_datetime"),
}
"""Our name for a column → the lower-case names it has in green, yellow and other files."""
_OPTIONAL = "dropoff_datetime"


class UnreadableTrips(RidecastError):
    """A place holds no trips that can be read; the text says which, why, and what to do."""


def read_trips(places: Sequence[str]) -> pd.DataFrame:
    """The trips of all places, one after the other, exactly as recorded.

    Args:
        places: Parquet files of green or yellow trips: paths, `gs://bucket/name` or `https://…`.

    Returns:
        PULocationID, DOLocationID and trip_distance as float64; pickup_datetime and
        dropoff_datetime on New York's clock, without a zone. What a file leaves out is NaN or NaT;
        drop-off times may be missing altogether, as in a month that is only to be predicted.

    Raises:
        UnreadableTrips: a place is missing, forbidden, not Parquet, or without a needed column.
    """
    return pd.concat([_read_place(place) for place in places], ignore_index=True)


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

    A distance that no taxi drives is an odometer's fault, not a ride that did not happen: it
    becomes 0, TLC's own way of saying that it was not recorded, and the ride stays.

    Args:
        trips: as `read_trips` gives them.
    """
    duration = (trips.dropoff_datetime - trips.pickup_datetime).dt.total_seconds() / 60
    zones = trips[["PULocationID", "DOLocationID"]]
    breaks = {
        "pick-up or drop-off time missing": duration.isna(),
        f"shorter than {SHORTEST_MINUTES:g} minute": duration < SHORTEST_MINUTES,
        f"longer than {LONGEST_MINUTES:g} minutes": duration > LONGEST_MINUTES,
        f"zone missing or not 1 to {LAST_ZONE}": ~(
            zones.ge(1) & zones.le(LAST_ZONE) & zones.mod(1).eq(0)
        ).all(axis=1),
    }
    keep = pd.Series(True, index=trips.index)
    dropped = {}
    for rule, broken in breaks.items():
        dropped[rule] = int((keep & broken).sum())
        keep &= ~broken

    kept = trips[keep].assign(duration=duration[keep])
    possible = kept.trip_distance.gt(0) & kept.trip_distance.le(LONGEST_TRIP_MILES)
    mended = {
        f"distance missing, not above 0 or over {LONGEST_TRIP_MILES:g} miles, now 0": int(
            (~possible & kept.trip_distance.ne(0)).sum()
        )
    }
    whole = {"PULocationID": np.int64, "DOLocationID": np.int64}
    mending = kept.trip_distance.where(possible, 0.0)
    return CleanTrips(kept.astype(whole).assign(trip_distance=mending), dropped, mended)


def columns_of(trips: pd.DataFrame) -> RideColumns:
    """Trips with whole zone ids → the columns that features are made from.

    Bit for bit what `ride_columns` gives for the same rides one by one.
    """
    pickup = trips.pickup_datetime.dt
    return RideColumns(
        trips.PULocationID.to_numpy(np.int64),
        trips.DOLocationID.to_numpy(np.int64),
        trips.trip_distance.to_numpy(np.float64),
        (pickup.hour * 60 + pickup.minute).to_numpy(np.float64),
        pickup.day_of_week.to_numpy(np.float64),
    )


def without_pickup_time(rides: RideColumns) -> RideColumns:
    """The same rides, as if nobody had said when they began."""
    unknown = np.full(len(rides.pickup_minute), np.nan)
    return rides._replace(pickup_minute=unknown, pickup_weekday=unknown)


def _read_place(place: str) -> pd.DataFrame:
    file = io.BytesIO(_bytes_of(place))
    try:
        names = {name.lower(): name for name in pq.read_schema(file).names}
        chosen = {
            ours: names[theirs]
            for ours, spellings in _COLUMNS.items()
            for theirs in spellings
            if theirs in names
        }
        missing = [ours for ours in _COLUMNS if ours not in chosen and ours != _OPTIONAL]
        if missing:
            raise UnreadableTrips(
                f"{place} has no column {' and no '.join(missing)}: give green or yellow trip records."
            )
        table = pd.read_parquet(file, columns=list(chosen.values()))
    except pa.ArrowException as error:
        raise UnreadableTrips(
            f"{place} is not a Parquet file ({error}): download the month again."
        ) from error
    read = {
        ours: _times(table[theirs]) if ours.endswith("datetime") else _numbers(table[theirs])
        for ours, theirs in chosen.items()
    }
    read.setdefault(_OPTIONAL, pd.Series(pd.NaT, index=table.index, dtype="datetime64[us]"))
    return pd.DataFrame({ours: read[ours] for ours in _COLUMNS})


def _numbers(column: "pd.Series[float]") -> "pd.Series[float]":
    return pd.to_numeric(column, errors="coerce").astype(np.float64)


def _times(column: "pd.Series[pd.Timestamp]") -> "pd.Series[pd.Timestamp]":
    times = pd.to_datetime(column)
    if times.dt.tz is not None:
        times = times.dt.tz_convert(NEW_YORK).dt.tz_localize(None)
    return times.astype("datetime64[us]")


def _bytes_of(place: str) -> bytes:
    if place.startswith("gs://"):
        return _from_bucket(place)
    if place.startswith(("https://", "http://")):
        return _from_web(place)
    try:
        return Path(place).read_bytes()
    except FileNotFoundError as error:
        raise UnreadableTrips(f"{place} does not exist: download the month, or give another path.") from error
    except OSError as error:
        raise UnreadableTrips(f"{place} cannot be read ({error.strerror}): give a file.") from error


def _from_bucket(place: str) -> bytes:
    try:
        content = storage.Blob.from_uri(place, client=storage.Client()).download_as_bytes()
    except NotFound as error:
        raise UnreadableTrips(
            f"{place} does not exist: look with `gcloud storage ls` for the month's name."
        ) from error
    except (Forbidden, Unauthorized) as error:
        raise UnreadableTrips(
            f"{place} is forbidden to this identity: grant it roles/storage.objectViewer."
        ) from error
    except GoogleAuthError as error:
        raise UnreadableTrips(
            f"{place} needs credentials ({error}): run `gcloud auth application-default login`."
        ) from error
    except (GoogleAPIError, requests.RequestException, ValueError) as error:
        raise UnreadableTrips(f"{place} cannot be read ({error}): try again.") from error
    assert isinstance(content, bytes)
    return content


def _from_web(place: str) -> bytes:
    try:
        answer = requests.get(place, timeout=DOWNLOAD_SECONDS)
        answer.raise_for_status()
    except requests.HTTPError as error:
        status = error.response.status_code
        # TLC's CDN answers 403, not 404, for a month it does not have.
        raise UnreadableTrips(
            f"{place} answered {status}: check the address in a browser;"
            " TLC publishes a month about two months later."
            if status in {401, 403, 404}
            else f"{place} answered {status}: try again later, or give a downloaded file."
        ) from error
    except requests.RequestException as error:
        raise UnreadableTrips(
            f"{place} cannot be reached ({type(error).__name__}): check the connection, or give a"
            " downloaded file."
        ) from error
    return answer.content
