"""Columns of numbers, times and text, of any type that holds them, as arrays."""

from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from functions.rides import NEW_YORK, NULL_TEXTS, NUMBER, new_york_time

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]
Times = npt.NDArray[np.datetime64]

_NUMBER = f"^({NUMBER}|[+-]?(?i:inf(inity)?))$"
_ISO_TIME = r"^[12]\d{3}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?$"
"""The common form of a time in text, which Arrow reads as `new_york_time` does, only faster."""
_TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000}
"""Ticks per second; nanoseconds cannot exceed the calendar."""
_FIRST_SECOND, _END_SECOND = -62_135_596_800, 253_402_300_800
"""The calendar: from the year 1 to the end of 9999, as in the functions."""


def is_text(dtype: pa.DataType) -> bool:
    """Whether a column of this type contains text."""
    dtype = value_type(dtype)
    return bool(pa.types.is_string(dtype) or pa.types.is_large_string(dtype))


def is_number(dtype: pa.DataType) -> bool:
    """Whether `to_float64` takes a column of this type, other than text; true is 1, false is 0."""
    dtype = value_type(dtype)
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    return any(test(dtype) for test in (*tests, pa.types.is_null))


def is_time(dtype: pa.DataType) -> bool:
    """Whether `to_datetime64` takes a column of this type, other than text."""
    dtype = value_type(dtype)
    return bool(pa.types.is_timestamp(dtype) or pa.types.is_null(dtype))


def value_type(dtype: pa.DataType) -> pa.DataType:
    """The type of a column's values, without dictionary encoding."""
    return dtype.value_type if pa.types.is_dictionary(dtype) else dtype


def decoded(column: pa.Array) -> pa.Array:
    """A column without dictionary encoding."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def to_float64(column: pa.Array) -> Numbers:
    """A column of numbers, or of text with numbers, as [n]; NaN where there is none."""
    column = decoded(column)
    if is_text(column.type):
        column = numbers_in_text(column)
    # Unsafe only in that an integer beyond 2^53 becomes the nearest double.
    numbers: Numbers = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def numbers_in_text(column: pa.Array) -> pa.Array:
    """The numbers in a column of text, as the functions read them; null where there is none."""
    text = pc.utf8_trim_whitespace(column)
    text = pc.if_else(pc.match_substring_regex(text, _NUMBER), text, None)
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:  # such as Infinity, which Python takes
        return pa.array([None if each is None else float(each) for each in text.to_pylist()], pa.float64())


def not_numbers(column: pa.Array) -> Mask:
    """The texts in a column, [n], that are neither a number nor stand for a missing one."""
    column = decoded(column)
    if not is_text(column.type):
        return np.zeros(len(column), bool)
    text = pc.utf8_lower(pc.utf8_trim_whitespace(column)).cast(pa.string())
    missing = pc.or_(pc.is_in(text, value_set=pa.array(sorted(NULL_TEXTS))), column.is_null())
    mask: Mask = np.asarray(pc.and_not(numbers_in_text(column).is_null(), missing))
    return mask


def to_datetime64(column: pa.Array) -> tuple[Times, Mask]:
    """Times, or text with times, as [n] in microseconds of New York time, NaT where there is none.

    Also returns which of the values, [n], cannot be read: text in another form than `new_york_time` reads,
    and times beyond the calendar. Those are NaT, too.

    Raises:
        pyarrow.ArrowException: the column's type cannot hold times.
    """
    column = decoded(column)
    dtype = column.type
    if is_text(dtype):
        return _times_in_text(column)
    if not is_time(dtype):
        raise pa.ArrowTypeError(f"expected times, not {dtype}")
    outside = np.zeros(len(column), bool)
    if ticks := _TICKS.get(getattr(dtype, "unit", "")):
        numbers = np.asarray(column.cast(pa.int64()).fill_null(0))
        outside = (numbers < _FIRST_SECOND * ticks) | (numbers >= _END_SECOND * ticks)
        if outside.any():
            column = pc.if_else(pa.array(outside), pa.scalar(None, dtype), column)
    if pa.types.is_timestamp(dtype) and dtype.tz:
        # pandas has its own time zone data; Arrow needs the system's.
        import pandas as pd

        utc = column.cast(pa.timestamp("us", "UTC"), safe=False).to_numpy(zero_copy_only=False)
        local = pd.DatetimeIndex(utc, tz="UTC").tz_convert(NEW_YORK).tz_localize(None)
        return local.to_numpy("datetime64[us]"), outside
    times: Times = column.cast(pa.timestamp("us"), safe=False).to_numpy(zero_copy_only=False)
    return times, outside


def _times_in_text(column: pa.Array) -> tuple[Times, Mask]:
    null = np.asarray(column.is_null())
    common = pc.match_substring_regex(column, _ISO_TIME).fill_null(False)
    try:
        times = np.array(pc.if_else(common, column, None).cast(pa.timestamp("us")))
        others = np.flatnonzero(~null & ~np.asarray(common))
    except pa.ArrowInvalid:  # such as the 30th of February
        times = np.full(len(column), "NaT", "datetime64[us]")
        others = np.flatnonzero(~null)
    unreadable = np.zeros(len(column), bool)
    for index, text in zip(others, column.take(pa.array(others)).to_pylist(), strict=True):
        time = _parse_time(text)
        if isinstance(time, ValueError):
            unreadable[index] = True
        elif time is not None:
            times[index] = time
    return times, unreadable


def _parse_time(text: str) -> datetime | ValueError | None:
    try:
        return new_york_time(text)
    except ValueError as error:
        return error


def common_type(types: list[pa.DataType]) -> pa.DataType:
    """A type that holds the values of columns of all these types; text if nothing narrower does."""
    distinct = list(dict.fromkeys(types))
    if len(distinct) == 1:
        return distinct[0]
    kinds = [each for each in dict.fromkeys(map(value_type, distinct)) if not pa.types.is_null(each)]
    if len(kinds) <= 1:
        return kinds[0] if kinds else pa.null()
    if all(pa.types.is_signed_integer(each) for each in kinds):
        return pa.int64()
    if all(is_number(each) and not pa.types.is_boolean(each) for each in kinds):
        integers = [each for each in kinds if pa.types.is_integer(each)]
        return pa.int64() if integers == kinds and pa.uint64() not in kinds else pa.float64()
    if all(pa.types.is_timestamp(each) for each in kinds) and len({bool(each.tz) for each in kinds}) == 1:
        return pa.timestamp("us", "UTC" if kinds[0].tz else None)
    return pa.string()


def convert(column: pa.Array, dtype: pa.DataType) -> pa.Array:
    """A column as another type, one that `common_type` or the reader of CSV files found for it.

    Raises:
        pyarrow.ArrowException: the values have no such type.
    """
    if column.type == dtype:
        return column
    column = decoded(column)
    if is_text(column.type) and not is_text(dtype):
        if pa.types.is_floating(dtype):
            return numbers_in_text(column).cast(dtype)
        text = pc.utf8_trim_whitespace(column)
        return pc.equal(pc.utf8_lower(text), "true") if pa.types.is_boolean(dtype) else text.cast(dtype)
    if pa.types.is_timestamp(column.type) and column.type.tz and is_text(dtype):
        # Arrow writes the offset, Z, and needs no time zone data for UTC.
        column = column.cast(pa.timestamp(column.type.unit, "UTC"))
    return column.cast(dtype, safe=is_text(dtype))
