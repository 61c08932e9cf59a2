"""Commands for people to paste that convert a file of trips with pandas."""

import json
import re
import shlex

from jobs.storage.csv_files import is_csv_name
from jobs.storage.files import basename
from jobs.ui.hints import python_command

_ENDING = re.compile(r"(\.parquet|\.(csv|tsv|txt)(\.gz)?|/)$", re.IGNORECASE)
_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_FIRST_SECOND, _LAST_SECOND = 1_230_000_000, 4_102_444_800
"""TLC's data begins in 2009; the end is that of the century."""


def conversion_command(uri: str, change: str) -> str:
    """A shell command that writes a changed copy of a file, as Parquet, to the working directory.

    A file in a bucket or on the web is copied there first.

    Args:
        uri: a Parquet or CSV file, or a folder of Parquet files.
        change: Python statements that change `t`, the file as a data frame.
    """
    fetch, path = "", uri
    if "://" in uri:
        copy = "gcloud storage cp {} ." if uri.startswith("gs://") else "curl -fO {}"
        fetch, path = copy.format(shlex.quote(uri)) + " && ", basename(uri)
    source = json.dumps(path, ensure_ascii=False)
    target = json.dumps(
        f"{_ENDING.sub('', basename(path.rstrip('/')))}-converted.parquet", ensure_ascii=False
    )
    read = (
        f'read_csv({source}, sep=None, engine="python")' if is_csv_name(path) else f"read_parquet({source})"
    )
    program = f"import pandas as pd; t = pd.{read}; {change}; t.to_parquet({target})"
    return f"{fetch}{python_command()} -c {shlex.quote(program)}"


def epoch_unit(value: object) -> str:
    """The unit in which a number, or text with one, counts from 1970, if that gives a year of TLC's data.

    `s`, `ms`, `us` or `ns`; empty if the value is something else.
    """
    try:
        number = float(str(value))
    except ValueError:
        return ""
    return next((unit for unit, per in _UNITS.items() if _FIRST_SECOND <= number / per < _LAST_SECOND), "")
