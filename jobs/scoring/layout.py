"""Where predictions are kept: the course's layout, which DuckDB and BigQuery read as one table.

    OUTPUT/taxi_type=green/year=2021/month=03/RUN.parquet
    OUTPUT/rejected/taxi_type=green/year=2021/month=03/RUN.parquet

RUN is the run that trained the model, and the version: the same model again replaces its own predictions,
another one's stand beside them. Where several machines write, each file is in shards,
RUN-00000-of-00004.parquet and so on.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from functions.releases import Release
from jobs.storage.files import join, name_of, names_in, remove

REJECTED = "rejected"
_SUFFIX = ".parquet"
_UNFIT = re.compile(r"[^\w.-]")
_SHARD = re.compile(r"(?P<whole>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.parquet")


def fit(name: str) -> str:
    """A name that a file or a folder may have, and that readers of the layout see as it is."""
    return _UNFIT.sub("-", name).lstrip(".") or "-"


class Output(NamedTuple):
    """The two files of a run."""

    predictions: str
    rejected: str


def month_partition(taxi: str, month: date) -> tuple[str, ...]:
    """The folders of a month of one kind of taxis."""
    return f"taxi_type={taxi}", f"year={month:%Y}", f"month={month:%m}"


def output_of(place: str, partition: tuple[str, ...], release: Release) -> Output:
    """Where a run writes.

    Args:
        place: a folder, local or on `gs://`, for the layout; or, ending in `.parquet`, the very file.
    """
    if is_file(place):
        return Output(place, f"{place.removesuffix(_SUFFIX)}.{REJECTED}{_SUFFIX}")
    run = "-v".join(part for part in (release.run_id, release.version) if part)
    names = (*partition, fit(run) + _SUFFIX)
    return Output(join(place, *names), join(place, REJECTED, *names))


def is_file(place: str) -> bool:
    """Whether an output is the very file, and not a folder for the layout."""
    return place.endswith(_SUFFIX)


def shard(file: str, number: int, count: int) -> str:
    """One of the shards of a file."""
    return f"{file.removesuffix(_SUFFIX)}-{number:05}-of-{count:05}{_SUFFIX}"


def whole(name: str) -> str:
    """The file of which a file is a shard; the file itself if it is none."""
    found = _SHARD.fullmatch(name)
    return found["whole"] + _SUFFIX if found else name


def remove_others(file: str, keep: Iterable[str]) -> None:
    """Removes what earlier runs left of a file of the layout, whole or in shards.

    Args:
        keep: what is there of the file now.

    Raises:
        FileAccessError: it cannot be removed.
    """
    kept = {name_of(place) for place in keep}
    folder = file.rpartition("/")[0]
    for name in names_in(folder):
        if whole(name) == name_of(file) and name not in kept:
            remove(join(folder, name))


def is_there(file: str) -> bool:
    """Whether a run has finished a file of the layout, whole or in shards.

    Raises:
        FileAccessError: its folder cannot be looked into.
    """
    return any(whole(name) == name_of(file) for name in finished(names_in(file.rpartition("/")[0])))


def finished(names: Iterable[str]) -> list[str]:
    """Of files of the layout those that readers should see, each run once.

    A run whose shards are not all there is being moved into its place; what an earlier one left beside
    it says the same.
    """
    sets: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name in sorted(names):
        found = _SHARD.fullmatch(name)
        sets[whole(name), int(found["count"]) if found else 0].append(name)
    chosen: dict[str, list[str]] = {}
    for (file, count), members in sorted(sets.items()):
        if len(members) == (count or 1):
            chosen.setdefault(file, members)
    return [name for members in chosen.values() for name in members]
