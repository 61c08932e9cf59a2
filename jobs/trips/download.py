"""Finds trips for a run on this machine: the user's own, else TLC's, else synthetic ones."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from jobs.storage.atomic import atomic_write
from jobs.storage.errors import DownloadFailed, FileAccessError, translate_errors
from jobs.storage.files import open_read
from jobs.trips import synthetic

TLC_URL = "https://d37ci6vzurychx.cloudfront.net/trip-data/"
"""Where the New York Taxi and Limousine Commission publishes its trip records."""
MONTHS = (date(2021, 1, 1), date(2021, 2, 1))
"""The months to train on and to validate on."""

_PARQUET_MAGIC = b"PAR1"
"""The first and the last four bytes of every Parquet file."""


class TripFiles(NamedTuple):
    """Months of trips on this machine."""

    files: list[str]
    """Paths, in chronological order or as the user gave them."""
    source: str
    """Where the trips come from, in one line for the user."""


def find_trips(uris: Sequence[str], cache: Path, folder: Path, tlc_url: str = TLC_URL) -> TripFiles:
    """Provides the given months; without any, TLC's; if those cannot be downloaded, synthetic ones.

    Args:
        uris: Parquet files: paths, `gs://…` or `https://…`; may be empty.
        cache: keeps complete downloads for the next run.
        folder: an existing folder for synthetic months.
        tlc_url: the address of TLC's files, with a trailing slash.

    Raises:
        FileAccessError: one of the given files cannot be read.
    """
    if uris:
        return TripFiles([_local_path(uri, cache) for uri in uris], f"{', '.join(uris)} (TRIPS)")
    names = [f"green_tripdata_{month:%Y-%m}.parquet" for month in MONTHS]
    months = " and ".join(f"{month:%Y-%m}" for month in MONTHS)
    origin = "from the cache" if all((cache / name).exists() for name in names) else "downloaded"
    try:
        files = [_download(tlc_url + name, cache / name) for name in names]
    except DownloadFailed:
        for name, month in zip(names, MONTHS, strict=True):
            synthetic.write_month(month, folder / name)
        files = [str(folder / name) for name in names]
        return TripFiles(files, f"synthetic trips, {months}, because TLC's website cannot be reached")
    return TripFiles(files, f"TLC's green taxis, {months}, {origin}")


def _local_path(uri: str, cache: Path) -> str:
    if "://" not in uri:
        if not Path(uri).is_file():
            raise FileAccessError(f"TRIPS: there is no file {uri}")
        return str(Path(uri).resolve())
    # Two addresses may end in the same name.
    digest = hashlib.sha256(uri.encode()).hexdigest()[:12]
    return _download(uri, cache / f"{digest}-{uri.rpartition('/')[2]}")


def _download(uri: str, path: Path) -> str:
    """Downloads a file unless it is cached; an incomplete download never gets into the cache."""
    if not path.exists():
        with open_read(uri) as source, translate_errors(uri):
            valid_start = source.read(4) == _PARQUET_MAGIC
            if not valid_start or source.seek(-4, os.SEEK_END) < 4 or source.read() != _PARQUET_MAGIC:
                raise DownloadFailed(f"{uri} is not a complete Parquet file")
            source.seek(0)
            with atomic_write(str(path)) as file:
                shutil.copyfileobj(source, file)
    return str(path)
