"""Which trips a run works with: those that are named, else TLC's own, else a generated city's."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from jobs.storage.files import FileAccessError, OutOfReach, reading, trouble_with, writing
from jobs.trips import synthetic

TLC = "https://d37ci6vzurychx.cloudfront.net/trip-data/"
"""Where the New York Taxi and Limousine Commission publishes its trip records."""
MONTHS = (date(2021, 1, 1), date(2021, 2, 1))
"""To learn from the first and be tested on the second."""

_PARQUET = b"PAR1"
"""The first and the last four bytes of every Parquet file."""


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
        folder: existing, takes generated months.
        tlc: address of TLC's files, with the slash at its end.

    Raises:
        FileAccessError: one of the wanted is not to be had.
    """
    if wanted:
        files = [_local(place, cache) for place in wanted]
        return Trips(files, f"{', '.join(wanted)} (TRIPS)")
    names = [f"green_tripdata_{month:%Y-%m}.parquet" for month in MONTHS]
    months = " and ".join(f"{month:%Y-%m}" for month in MONTHS)
    known = all((cache / name).exists() for name in names)
    try:
        files = [_downloaded(tlc + name, cache / name) for name in names]
    except OutOfReach:
        for name, month in zip(names, MONTHS, strict=True):
            synthetic.write_month(month, folder / name)
        files = [str(folder / name) for name in names]
        return Trips(files, f"generated city, {months}, as TLC's address is out of reach")
    where = "from the cache" if known else "downloaded"
    return Trips(files, f"TLC's green taxis, {months}, {where}")


def _local(place: str, cache: Path) -> str:
    if "://" not in place:
        if not Path(place).is_file():
            raise FileAccessError(f"TRIPS: there is no file {place}")
        return str(Path(place).resolve())
    # Two places may use the same name for different files.
    digest = hashlib.sha256(place.encode()).hexdigest()[:12]
    return _downloaded(place, cache / f"{digest}-{place.rpartition('/')[2]}")


def _downloaded(place: str, path: Path) -> str:
    """Fetches a file, once; a broken or interrupted download never comes near the cache."""
    if not path.exists():
        with reading(place) as source, trouble_with(place):
            if source.read(4) != _PARQUET or source.seek(-4, os.SEEK_END) < 4 or source.read() != _PARQUET:
                raise OutOfReach(f"{place} is not a whole Parquet file")
            source.seek(0)
            with writing(str(path)) as file:
                shutil.copyfileobj(source, file)
    return str(path)
