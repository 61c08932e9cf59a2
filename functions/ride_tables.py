"""Rides from rows of values: under the names of columns, or in the order of a ride's fields."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import TypeVar

from functions.errors import InvalidRide, Problem
from functions.rides import RIDE_FIELDS, Ride, field_of, parse_ride

T = TypeVar("T")
D = TypeVar("D")

MAX_PROBLEMS = 20
"""How many problems of a batch one response lists."""
_MAX_SHOWN = 100
"""Characters of the column names that an error shows."""


def parse_each(documents: Iterable[D], parse: Callable[[D, int], T]) -> list[T]:
    """Parses each item of a batch, given with its index.

    Raises one InvalidRide with the problems of all items, up to `MAX_PROBLEMS`.
    """
    items: list[T] = []
    problems: list[Problem] = []
    for index, document in enumerate(documents):
        try:
            items.append(parse(document, index))
        except InvalidRide as error:
            problems.extend(error.problems)
            if len(problems) >= MAX_PROBLEMS:
                break
    if problems:
        raise InvalidRide(*problems[:MAX_PROBLEMS])
    return items


def parse_arguments(values: Sequence[object], pointer: str, repaired: list[str]) -> Ride:
    """A ride from 3 or 4 values in the order of `RIDE_FIELDS`; `pointer` and `repaired` as in `parse_ride`.

    Raises InvalidRide with a pointer to each invalid value.
    """
    if len(values) not in (3, 4):
        raise InvalidRide(Problem(pointer, f"must be an array of 3 or 4 values: {', '.join(RIDE_FIELDS)}"))
    return _parse_row(RIDE_FIELDS, values, lambda name: f"{pointer}/{RIDE_FIELDS.index(name)}", repaired)


def parse_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    header: str,
    locate: Callable[[int, int], str],
    repaired: list[str],
) -> list[Ride]:
    """Rides from a table.

    Args:
        columns: its column names; those that are not a ride's field are ignored.
        rows: one value per column each.
        header: pointer to the column names.
        locate: index of a row and of a column → pointer to the value.
        repaired: as in `parse_ride`.

    Raises:
        InvalidRide: a column is missing or there twice, or values are invalid.
    """
    fields = {index: field for index, name in enumerate(columns) if (field := field_of(name.strip()))}
    missing = [field for field in RIDE_FIELDS[:3] if field not in fields.values()]
    if missing:
        if not rows:
            return []
        shown = json.dumps(list(columns))[:_MAX_SHOWN]
        raise InvalidRide(Problem(header, f"must include {' and '.join(missing)}, but the names are {shown}"))
    # A field under several names is left to parse_ride, which compares their values.
    counts = Counter(fields.values())
    indices: dict[str, int] = {}
    for index, field in fields.items():
        name = field if counts[field] == 1 else columns[index].strip()
        if name in indices:
            raise InvalidRide(Problem(header, f"must not include {name} twice"))
        indices[name] = index
    names, select = tuple(indices), itemgetter(*indices.values())

    def parse(row: Sequence[object], number: int) -> Ride:
        return _parse_row(names, select(row), lambda name: locate(number, indices[name]), repaired)

    return parse_each(rows, parse)


def _parse_row(
    names: Sequence[str], values: Sequence[object], locate: Callable[[str], str], repaired: list[str]
) -> Ride:
    """A ride from the values of fields; `locate` returns the pointer to a field's value by its name."""
    names_repaired: list[str] = []
    try:
        ride = parse_ride(dict(zip(names, values, strict=False)), "", names_repaired)
    except InvalidRide as error:
        problems = (Problem(locate(problem.pointer[1:]), problem.detail) for problem in error.problems)
        raise InvalidRide(*problems) from None
    repaired += [locate(name[1:]) for name in names_repaired]
    return ride
