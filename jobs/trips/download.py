"""Provides months of trips on this machine: TLC's, generated ones, or the user's own files."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from jobs.storage.atomic import atomic_write
from jobs.storage.errors import DownloadFailed, FileAccessError, translate_errors
from jobs.storage.files import basename, open_read
from jobs.trips import synthetic

TLC_URL = "https://d37ci6vzurychx.cloudfront.net/trip-data/"
"""Where the New York Taxi and Limousine Commission publishes its trip records."""
TAXIS = tuple(synthetic.COLUMNS)
"""As TLC calls them: green and yellow taxis, high-volume for-hire vehicles, and other for-hire vehicles."""
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


def download_months(taxi: str, months: Sequence[date], folder: Path, tlc_url: str = TLC_URL) -> list[Path]:
    """Downloads TLC's months into a folder, unless they are there; replaces generated ones.

    Args:
        taxi: one of `TAXIS`.
        months: their first days.
        tlc_url: the address of TLC's files, with a trailing slash.

    Raises:
        NotPublished: TLC has no such month.
        DownloadFailed: TLC cannot be reached.
        FileAccessError: a file in the folder is damaged, or it cannot be written to.
    """
    paths = month_paths(taxi, months, folder)
    for path in paths:
        if not path.exists() or _is_generated(path):
            _download(tlc_url + path.name, path)
    return paths


def generate_months(taxi: str, months: Sequence[date], folder: Path) -> list[Path]:
    """Generates months under TLC's names in a folder, unless they are there.

    Raises:
        FileAccessError: one of them is there and is not generated, or the folder cannot be written to.
    """
    paths = month_paths(taxi, months, folder)
    for path in paths:
        if path.exists() and not _is_generated(path):
            raise FileAccessError(
                f"{path} is not generated, and generated months do not belong beside real ones: "
                "give another --folder"
            )
    for path, month in zip(paths, months, strict=True):
        if not path.exists():
            synthetic.write_month(month, path, taxi=taxi)
    return paths


def generated_beside(paths: Sequence[Path]) -> list[Path]:
    """Generated months of the same taxi in the same folder, which do not belong beside these."""
    pattern = f"{paths[0].name.partition('_')[0]}_tripdata_*.parquet"
    others = sorted(set(paths[0].parent.glob(pattern)) - set(paths))
    return [path for path in others if _is_generated(path)]


def month_paths(taxi: str, months: Sequence[date], folder: Path) -> list[Path]:
    """Paths in a folder with TLC's names of the months."""
    return [folder / f"{taxi}_tripdata_{month:%Y-%m}.parquet" for month in months]


def find_trips(uris: Sequence[str], cache: Path, tlc_url: str = TLC_URL) -> TripFiles:
    """Provides the given months; without any, TLC's; if those cannot be downloaded, generated ones.

    Args:
        uris: files of trips: paths, `gs://…` or `https://…`; may be empty.
        cache: folder that keeps complete downloads and generated months for the next run.
        tlc_url: the address of TLC's files, with a trailing slash.

    Raises:
        FileAccessError: one of the given files cannot be read.
    """
    if uris:
        return TripFiles([_local_path(uri, cache) for uri in uris], f"{', '.join(uris)} (TRIPS)")
    names = " and ".join(f"{month:%Y-%m}" for month in MONTHS)
    cached = all(path.exists() and not _is_generated(path) for path in month_paths("green", MONTHS, cache))
    try:
        files = download_months("green", MONTHS, cache, tlc_url)
        source = f"TLC's green taxis, {names}, {'from the cache' if cached else 'downloaded'}"
    except DownloadFailed:
        # Apart from TLC's months, of which the cache may hold one.
        files = generate_months("green", MONTHS, cache / "generated")
        source = f"generated trips, {names}, because TLC's website cannot be reached"
    return TripFiles([str(file) for file in files], source)


def _is_generated(path: Path) -> bool:
    try:
        with translate_errors(str(path)):
            return synthetic.is_generated(path)
    except FileAccessError as error:
        raise FileAccessError(f"{path} is damaged: delete it and try again") from error


def _local_path(uri: str, cache: Path) -> str:
    if "://" not in uri:
        if not Path(uri).exists():
            raise FileAccessError(f"TRIPS: {uri} does not exist")
        return str(Path(uri).resolve())
    # Two addresses may end in the same name.
    digest = hashlib.sha256(uri.encode()).hexdigest()[:12]
    path = cache / f"{digest}-{basename(uri)}"
    if not path.exists():
        _download(uri, path)
    return str(path)


def _download(uri: str, path: Path) -> None:
    """Downloads a file; an incomplete download never gets to the path."""
    with open_read(uri) as source, translate_errors(uri):
        if path.suffix == ".parquet":
            valid_start = source.read(4) == _PARQUET_MAGIC
            if not valid_start or source.seek(-4, os.SEEK_END) < 4 or source.read() != _PARQUET_MAGIC:
                raise DownloadFailed(f"{uri} is not a complete Parquet file")
            source.seek(0)
        with atomic_write(str(path)) as file:
            shutil.copyfileobj(source, file)
