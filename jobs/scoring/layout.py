"""Where predictions are kept: the course's layout, which DuckDB and BigQuery read as one table.

    OUTPUT/taxi_type=green/year=2021/month=03/RUN.parquet
    OUTPUT/rejected/taxi_type=green/year=2021/month=03/RUN.parquet

RUN is the run that trained the model, and the version: the same model again replaces its own predictions,
another one's stand beside them.
"""

import re
from datetime import date
from typing import NamedTuple

from functions.releases import Release
from jobs.places import join

REJECTED = "rejected"
_SUFFIX = ".parquet"
_UNFIT = re.compile(r"[^\w.-]")


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
    if place.endswith(_SUFFIX):
        return Output(place, f"{place.removesuffix(_SUFFIX)}.{REJECTED}{_SUFFIX}")
    run = "-v".join(part for part in (release.run_id, release.version) if part)
    names = (*partition, fit(run) + _SUFFIX)
    return Output(join(place, *names), join(place, REJECTED, *names))
