"""Reads and cleans the trips of a training."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from functions.errors import RidecastError
from jobs.registry.runs import TripsFile
from jobs.settings import HELD_OUT_SHARE
from jobs.storage.errors import redact_query
from jobs.trips.cleaning import clean_trips, read_trips
from jobs.trips.names import describe_files
from jobs.ui.text import count

MIN_RIDES = 1_000
"""Fewer are too few to learn the 265 zones."""


class TooFewRides(RidecastError):
    """After cleaning, too few trips are left to train or to evaluate on."""


@dataclass(frozen=True)
class TrainingData:
    """Clean rides to train on and to evaluate on."""

    training: pd.DataFrame
    held_out: pd.DataFrame
    cleaning: dict[str, dict[str, Any]]
    """Numbers of trips read, kept, dropped and repaired, for `trips` and for `validate`."""
    files: dict[str, list[TripsFile]]
    """The files that were read, for `training` and for `evaluation`."""

    @property
    def trained_on(self) -> str:
        """`green 2021-01`."""
        return describe_files([file.uri for file in self.files["training"]])

    @property
    def evaluated_on(self) -> str:
        """`green 2021-02`, or `the last fifth of green 2021-01`."""
        files = self.files.get("evaluation")
        return (
            describe_files([file.uri for file in files]) if files else f"the last fifth of {self.trained_on}"
        )


def load_training_data(trips: Sequence[str], validate: Sequence[str], console: Console) -> TrainingData:
    """Reads and cleans trips; prints how many were dropped and repaired.

    Args:
        trips: Parquet files to train on, see `read_trips`.
        validate: files to evaluate on; if empty, the last fifth of `trips` by pick-up time is held out.

    Raises:
        FileAccessError: a file cannot be read.
        TooFewRides: fewer than `MIN_RIDES` are left.
    """
    training, cleaning, files = _read_clean(trips, console)
    if validate:
        held_out, validate_cleaning, validate_files = _read_clean(validate, console)
        return TrainingData(
            training,
            held_out,
            {"trips": cleaning, "validate": validate_cleaning},
            {"training": files, "evaluation": validate_files},
        )
    ordered = training.sort_values("pickup_datetime", kind="stable")
    last = int(len(ordered) * HELD_OUT_SHARE)
    console.print(f"held out: the last {count(last, 'ride')}")
    return TrainingData(ordered.iloc[:-last], ordered.iloc[-last:], {"trips": cleaning}, {"training": files})


def _read_clean(
    uris: Sequence[str], console: Console
) -> tuple[pd.DataFrame, dict[str, Any], list[TripsFile]]:
    names = ", ".join(map(redact_query, uris))
    months, files = [], []
    for uri in uris:
        month = read_trips([uri])
        public = redact_query(uri) if "://" in uri else str(Path(uri).absolute())
        months.append(month)
        files.append(TripsFile(public, describe_files([uri]), len(month), digest(month)))
    recorded = pd.concat(months, ignore_index=True)
    clean = clean_trips(recorded)
    console.print(
        f"read {count(len(recorded), 'trip')} from {names}; {len(clean.trips):,} kept", markup=False
    )
    for rule, trips in (clean.dropped | clean.repaired).items():
        if trips:
            console.print(f"  {trips:>7,} {rule}")
    if len(clean.trips) < MIN_RIDES:
        raise TooFewRides(
            f"{count(len(clean.trips), 'ride')} of {names} can be used, but {MIN_RIDES:,} are needed: "
            "give more or larger months"
        )
    # The keys are those of earlier versions: `report` reads the files of every run.
    cleaning = {"places": [file.uri for file in files], "read": len(recorded), "kept": len(clean.trips)}
    return clean.trips, cleaning | {"dropped": clean.dropped, "mended": clean.repaired}, files


def digest(trips: pd.DataFrame) -> str:
    """SHA-256 of the rides' values in order, independent of the files they came from."""
    hashes = pd.util.hash_pandas_object(trips, index=False).to_numpy()
    return hashlib.sha256(hashes.tobytes()).hexdigest()
