"""Months, each represented by its first day."""

import re
from collections.abc import Sequence
from datetime import date
from glob import has_magic

from functions.errors import RidecastError
from jobs.storage.errors import FileAccessError
from jobs.storage.files import basename, glob

_MONTH = re.compile(r"(?<!\d)(\d{4})-(\d{2})(?!\d)")
_FOLDER_MONTH = re.compile(r"(?:^|/)(?:year=)?(\d{4})/(?:month=)?(\d{1,2})$")


class InvalidMonth(RidecastError):
    """A text is not a valid month, or a range of months is empty."""


def month_before(day: date, months: int = 1) -> date:
    """The month that is `months` before the month of a day."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, 1)


def months_between(first: str, last: str) -> list[date]:
    """All months from `first` to `last`, both included and written like `2021-03`.

    Raises:
        InvalidMonth: one of them is not a month, or the last comes before the first.
    """
    month, end = parse_month(first), parse_month(last)
    if end < month:
        raise InvalidMonth(f"{last} comes before {first}: give the first month first")
    months = []
    while month <= end:
        months.append(month)
        month = month_before(month, -1)
    return months


def parse_month(text: str) -> date:
    """Parses a month like `2021-03`; raises InvalidMonth if it is not valid."""
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise InvalidMonth(f"{text!r} is not a valid month: write it like 2021-03") from error


def month_from_filename(uri: str) -> date:
    """The month in a file's name; raises FileAccessError unless there is exactly one."""
    return find_month(uri, [uri])


def find_month(uri: str, files: Sequence[str]) -> date:
    """The month of a table: that in the names of its files, else that in its folder's path.

    Args:
        uri: the file, folder or pattern; a folder may be `2021-03`, `2021/03` or `year=2021/month=03`.
        files: all its files.

    Raises:
        FileAccessError: there is not exactly one month.
    """
    found = {month for file in files for month in _MONTH.findall(basename(file))}
    if not found and list(files) != [uri]:
        folder = (uri.rpartition("/")[0] if has_magic(uri) else uri).rstrip("/")
        found = set(_MONTH.findall(basename(folder)) or _FOLDER_MONTH.findall(folder))
    if len(found) > 1 and len(files) > 1:
        months = ", ".join(sorted("-".join(month) for month in found))
        raise FileAccessError(f"{uri} holds several months ({months}): give the files of one month")
    try:
        ((year, month),) = found
        return date(int(year), int(month), 1)
    except ValueError:
        raise FileAccessError(
            f"the name of {uri} does not tell its month (like …2021-03.parquet): give --year and --month"
        ) from None


def expand_months(uri: str) -> list[str]:
    """The files or folders that a pattern matches, if each has a month in its name; else the pattern itself.

    Several months are several tables; files whose names do not tell a month are the parts of one table.

    Raises:
        FileAccessError: the pattern matches nothing.
    """
    found = glob(uri)
    return found if all(_MONTH.search(basename(each.rstrip("/"))) for each in found) else [uri]


def format_uri(template: str, month: date | None, taxi: str = "") -> str:
    """Fills in `{year:04d}`, `{month:02d}` and `{taxi_type}` in a path or URI.

    Raises:
        FileAccessError: a value is missing, or the template is not valid.
    """
    if "{" not in template:
        return template
    if month is None:
        raise FileAccessError(f"{template} needs --year and --month")
    values = {"year": month.year, "month": month.month} | ({"taxi_type": taxi} if taxi else {})
    try:
        return template.format(**values)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise FileAccessError(
            f"{template} may contain {{year:04d}}, {{month:02d}} and, with --taxi, {{taxi_type}}: {error}"
        ) from error
