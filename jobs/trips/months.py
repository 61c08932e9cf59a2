"""Months, each as its first day."""

import re
from datetime import date

from functions.errors import RidecastError
from jobs.storage.files import FileAccessError, name_of

_MONTH = re.compile(r"(?<!\d)(\d{4})-(\d{2})(?!\d)")


class NoMonth(RidecastError):
    """A text names no month, or a range of months is empty."""


def month_before(day: date, months: int = 1) -> date:
    """The month that lies so many before the one of a day."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, 1)


def months_between(first: str, last: str) -> list[date]:
    """All months from the one to the other, both written `2021-03` and both included.

    Raises:
        NoMonth: one of them is no month, or the last comes before the first.
    """
    month, end = month_of(first), month_of(last)
    if end < month:
        raise NoMonth(f"{last} comes before {first}: give the first month first")
    months = []
    while month <= end:
        months.append(month)
        month = month_before(month, -1)
    return months


def month_of(text: str) -> date:
    """The month that is written `2021-03`; raises NoMonth if it is none."""
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise NoMonth(f"{text!r} is no month: write it like 2021-03") from error


def month_in_name(place: str) -> date:
    """The month that a file's name says it is of; raises FileAccessError where it says none."""
    found = set(_MONTH.findall(name_of(place)))
    try:
        ((year, month),) = found
        return date(int(year), int(month), 1)
    except ValueError:
        raise FileAccessError(
            f"the name of {place} does not say which month it is (…2021-03.parquet): give --year and --month"
        ) from None


def fill_in(pattern: str, month: date | None, taxi: str = "") -> str:
    """A place for a month, from the course's `{year:04d}-{month:02d}`, and `{taxi_type}`.

    Raises:
        FileAccessError: it cannot be filled in.
    """
    if "{" not in pattern:
        return pattern
    if month is None:
        raise FileAccessError(f"{pattern} needs --year and --month")
    values = {"year": month.year, "month": month.month} | ({"taxi_type": taxi} if taxi else {})
    try:
        return pattern.format(**values)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise FileAccessError(
            f"{pattern} may hold {{year:04d}}, {{month:02d}} and, with --taxi, {{taxi_type}}: {error}"
        ) from error
