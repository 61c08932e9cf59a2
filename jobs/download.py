"""Which trips a run works with: those that are named, else TLC's own, else a generated city's."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import requests

from functions.errors import RidecastError
from jobs import city

TLC = "https://d37ci6vzurychx.cloudfront.net/trip-data/"
"""Where the New York Taxi and Limousine Commission publishes its trip records."""
MONTHS = (date(2021, 1, 1), date(2021, 2, 1))
"""To learn from the first and be tested on the second."""
CONNECT_SECONDS = 3.0
"""Without a network a run should not wait: it has a city of its own."""
SILENCE_SECONDS = 20.0

_PARQUET = b"PAR1"
"""The first and the last four bytes of every Parquet file."""


class NoTrips(RidecastError):
    """Trips that were asked for cannot be had; the text says which and why."""


class Trips(NamedTuple):
    """Months of trips on this machine."""

    files: list[str]
    """Paths, the oldest month first as they were given."""
    source: str
    """One line that says where they are from."""


def find_trips(wanted: Sequence[str], cache: Path, folder: Path, tlc: str = TLC) -> Trips:
    """The trips that are wanted; if none are, TLC's months; if those are out of reach, generated ones.

    Args:
        wanted: Parquet files: paths, `gs://…` or `https://…`.
        cache: keeps whole downloads for the next time.
        folder: existing, takes unfinished downloads and generated months.
        tlc: address of TLC's files, with the slash at its end.

    Raises:
        NoTrips: one of the wanted is not to be had.
    """
    if wanted:
        files = [_local(place, cache, folder) for place in wanted]
        return Trips(files, f"{', '.join(wanted)} (TRIPS)")
    names = [f"green_tripdata_{month:%Y-%m}.parquet" for month in MONTHS]
    months = " and ".join(f"{month:%Y-%m}" for month in MONTHS)
    known = all((cache / name).exists() for name in names)
    try:
        files = [_downloaded(tlc + name, cache / name, folder) for name in names]
    except NoTrips:
        for name, month in zip(names, MONTHS, strict=True):
            city.write_month(month, folder / name)
        files = [str(folder / name) for name in names]
        return Trips(files, f"generated city, {months}, as TLC's address is out of reach")
    where = "from the cache" if known else "downloaded"
    return Trips(files, f"TLC's green taxis, {months}, {where}")


def _local(place: str, cache: Path, folder: Path) -> str:
    if "://" not in place:
        if not Path(place).is_file():
            raise NoTrips(f"TRIPS: there is no file {place}")
        return str(Path(place).resolve())
    # Two places may use the same name for different files.
    digest = hashlib.sha256(place.encode()).hexdigest()[:12]
    return _downloaded(place, cache / f"{digest}-{place.rpartition('/')[2]}", folder)


def _downloaded(place: str, path: Path, folder: Path) -> str:
    """Fetches a file, once; a broken or interrupted download never comes near the cache."""
    if path.exists():
        return str(path)
    fetched = folder / path.name
    fetch = _from_bucket if place.startswith("gs://") else _from_web
    fetch(place, fetched)
    with fetched.open("rb") as file:
        head = file.read(4)
        file.seek(max(fetched.stat().st_size - 4, 0))
        if not head == file.read() == _PARQUET:
            raise NoTrips(f"{place} is not a whole Parquet file")
    path.parent.mkdir(parents=True, exist_ok=True)
    # The folder may be on another disk, from which nothing can be moved in one go.
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.move(fetched, beside)
    beside.replace(path)
    return str(path)


def _from_web(place: str, path: Path) -> None:
    try:
        with (
            requests.get(place, stream=True, timeout=(CONNECT_SECONDS, SILENCE_SECONDS)) as answer,
            path.open("wb") as file,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_content(1 << 16):
                file.write(chunk)
    except requests.RequestException as error:
        raise NoTrips(f"{place} cannot be downloaded: {error}") from error


def _from_bucket(place: str, path: Path) -> None:
    # A second of imports that most runs do without.
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import storage

    try:
        storage.Blob.from_uri(place, client=storage.Client()).download_to_filename(str(path))
    except (GoogleAPIError, GoogleAuthError, OSError, ValueError) as error:
        raise NoTrips(f"{place} cannot be downloaded: {error}") from error
