"""Months, each as its first day."""

from datetime import date

from functions.errors import RidecastError


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
