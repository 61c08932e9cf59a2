"""Where predictions are stored: the course's layout, which DuckDB and BigQuery read as one table.

    OUTPUT/taxi_type=green/year=2021/month=03/RUN.parquet
    OUTPUT/rejected/taxi_type=green/year=2021/month=03/RUN.parquet

RUN is the model's MLflow run and version, or its name and version if no run logged it. The same model
replaces its own predictions when it runs again; those of other models are stored beside them. If several
machines write, each file is split into shards, RUN-00000-of-00004.parquet and so on.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from functions.releases import Release
from jobs.storage.files import basename, join, list_names, remove

REJECTED = "rejected"
_SUFFIX = ".parquet"
_SHARD = re.compile(r"(?P<file>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.parquet")


def safe_name(name: str) -> str:
    """The name with all characters replaced that readers of the layout could misread."""
    return re.sub(r"[^\w.-]", "-", name).lstrip(".") or "-"


class OutputFiles(NamedTuple):
    """The two files of a run: paths or `gs://`."""

    predictions: str
    rejected: str


def month_partition(taxi: str, month: date) -> tuple[str, ...]:
    """The folders of a month of green or yellow trips."""
    return f"taxi_type={taxi}", f"year={month:%Y}", f"month={month:%m}"


def output_files(output: str, partition: tuple[str, ...], release: Release) -> OutputFiles:
    """The files that a run writes: in the layout, or side by side if the output is a single file."""
    if is_single_file(output):
        return OutputFiles(output, f"{output.removesuffix(_SUFFIX)}.{REJECTED}{_SUFFIX}")
    # A version that is not a number is an id of its own.
    owner = release.run_id or (release.name if release.version.isdecimal() else "")
    run = "-v".join(part for part in (owner, release.version) if part)
    names = (*partition, safe_name(run) + _SUFFIX)
    return OutputFiles(join(output, *names), join(output, REJECTED, *names))


def is_single_file(output: str) -> bool:
    """Whether an output is a single file, not a folder for the layout."""
    return output.endswith(_SUFFIX)


def shard_uri(file: str, number: int, count: int) -> str:
    """One of the `count` shards of a file."""
    return f"{file.removesuffix(_SUFFIX)}-{number:05}-of-{count:05}{_SUFFIX}"


def unsharded(name: str) -> str:
    """The file that a shard belongs to; a file that is not a shard is returned as it is."""
    match = _SHARD.fullmatch(name)
    return match["file"] + _SUFFIX if match else name


def remove_stale_files(file: str, keep: Iterable[str]) -> None:
    """Removes what earlier runs left of a file of the layout, whole or in shards, except the files to keep.

    Raises FileAccessError if one cannot be removed.
    """
    current = {basename(uri) for uri in keep}
    folder = file.rpartition("/")[0]
    for name in list_names(folder):
        if unsharded(name) == basename(file) and name not in current:
            remove(join(folder, name))


def is_complete(file: str) -> bool:
    """Whether a run has finished a file of the layout, whole or in shards.

    Raises FileAccessError if its folder cannot be listed.
    """
    names = list_names(file.rpartition("/")[0])
    return any(unsharded(name) == basename(file) for name in complete_files(names))


def complete_files(names: Iterable[str]) -> list[str]:
    """The files, of those of the layout, that readers should use: each run once.

    A run with missing shards is still being moved to its final location. If an earlier run of the same model
    left a file or other shards beside it, these hold the same predictions.
    """
    sets: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name in sorted(names):
        match = _SHARD.fullmatch(name)
        sets[unsharded(name), int(match["count"]) if match else 0].append(name)
    chosen: dict[str, list[str]] = {}
    for (file, count), members in sorted(sets.items()):
        if len(members) == (count or 1):
            chosen.setdefault(file, members)
    return [name for members in chosen.values() for name in members]
