"""Short names for files of trips, for runs that people look for later."""

import re
from collections.abc import Sequence
from itertools import pairwise

from jobs.storage.files import basename
from jobs.trips.months import month_before, month_from_filename
from jobs.ui.text import count

MAX_NAMES = 3
_TLC_NAME = re.compile(r"([0-9a-f]{12}-)?(?P<taxi>[a-z]+)_tripdata_(?P<month>\d{4}-(0[1-9]|1[0-2]))(\..*)?")
"""The digest is that of a cached download, see `find_trips`."""
_EXTENSION = re.compile(r"\.parquet$|\.csv(\.gz)?$")


def describe_files(uris: Sequence[str]) -> str:
    """`green 2021-01` for green_tripdata_2021-01.parquet, `green 2021-01 to 2021-03` for three months.

    Files with other names are called by them, without their extensions; after a few, only their number is
    given.
    """
    names = [basename(uri.rstrip("/")) for uri in uris]
    found = [_TLC_NAME.fullmatch(name) for name in names]
    matches = [match for match in found if match]
    if len(matches) == len(names) > 1 and len({match["taxi"] for match in matches}) == 1:
        months = [month_from_filename(name) for name in names]
        if all(month_before(later) == month for month, later in pairwise(months)):
            return f"{matches[0]['taxi']} {months[0]:%Y-%m} to {months[-1]:%Y-%m}"
    short = [
        f"{match['taxi']} {match['month']}" if match else _EXTENSION.sub("", name)
        for name, match in zip(names, found, strict=True)
    ]
    more = len(short) - MAX_NAMES
    listed = ", ".join(short[:MAX_NAMES])
    return f"{listed} and {count(more, 'more file')}" if more > 0 else listed
