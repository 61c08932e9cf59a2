from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.errors import InvalidRide
from functions.rides import new_york_time, parse_ride
from jobs.storage.columns import common_type, convert, is_text, not_numbers, to_datetime64, to_float64

UNKNOWN = float("nan")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([130, 7, None]),
        pa.array([130, 7, None], pa.int32()),
        pa.array([130.0, 7.0, UNKNOWN]),
        pa.array(["130", " 7.0 ", "twelve"]),
        pa.array(["1.3e2", "+7.", ""], pa.large_string()),
        pa.array(["130", "7", None]).dictionary_encode(),
        pa.array([Decimal("130.0"), Decimal("7.0"), None], pa.decimal128(5, 1)),
    ],
    ids=lambda column: str(column.type),
)
def test_numbers_are_read_from_any_type(column: pa.Array) -> None:
    np.testing.assert_array_equal(to_float64(column), [130.0, 7.0, UNKNOWN])


def test_booleans_are_one_and_zero() -> None:
    assert to_float64(pa.array([True, False])).tolist() == [1.0, 0.0]


def test_integers_beyond_double_precision_become_the_nearest_double() -> None:
    numbers = to_float64(pa.array([2**53 + 1, 2**64 - 1, None], pa.uint64()))
    np.testing.assert_array_equal(numbers, [2.0**53, 2.0**64, np.nan])


NUMBERS = ["3.66", " 5 ", ".5", "5.", "-1e2", "1e400", "-Infinity", "inf"]
OTHERS = ["1_30", "٣", "0x1", "3,66", "n/a", "1 2"]
MISSING = ["", " ", "NaN", "NaT", None]


@pytest.mark.parametrize("text", [*NUMBERS, *OTHERS, *MISSING])
@pytest.mark.parametrize("dtype", [pa.string(), pa.large_string()])
def test_text_is_a_number_exactly_where_the_functions_take_it_for_one(
    text: str | None, dtype: pa.DataType
) -> None:
    column = pa.array([text], dtype)
    (number,), (wrong,) = to_float64(column), not_numbers(column)
    assert wrong == (text in OTHERS)
    assert np.isnan(number) == (text not in NUMBERS)
    ride = {"PULocationID": 1, "DOLocationID": 1, "trip_distance": text}
    if text in NUMBERS:
        assert parse_ride(ride).trip_distance == (number if 0 < number <= 100 else 0.0)
    else:
        with pytest.raises(InvalidRide, match="must be a number" if wrong else "is missing"):
            parse_ride(ride)


def test_a_number_is_not_unreadable() -> None:
    assert not not_numbers(pa.array([1.0, None, UNKNOWN])).any()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_unit_are_microseconds(unit: str) -> None:
    moment = datetime(2021, 3, 14, 1, 59, 59)  # New York time, without a zone
    times, unreadable = to_datetime64(pa.array([moment, None], pa.timestamp(unit)))
    assert times.dtype == "datetime64[us]"
    assert times[0] == np.datetime64(moment)
    assert np.isnat(times[1])
    assert not unreadable.any()


@pytest.mark.parametrize(("unit", "per_second"), [("s", 1), ("ms", 1_000), ("us", 1_000_000)])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_times_beyond_the_calendar_are_unreadable(unit: str, per_second: int, zone: str | None) -> None:
    last = int(datetime(9999, 12, 31, 12, tzinfo=UTC).timestamp())
    first = int(datetime(1, 1, 2, tzinfo=UTC).timestamp())
    seconds = [first, last, first - 86_400 * 2, last + 86_400]
    ticks = [*(each * per_second for each in seconds), 2**62, -(2**62), None]
    times, unreadable = to_datetime64(pa.array(ticks, pa.timestamp(unit, zone)))
    assert unreadable.tolist() == [False, False, True, True, True, True, False]
    assert np.isnat(times).tolist() == [False, False, True, True, True, True, True]


def test_times_with_a_time_zone_become_new_york_time() -> None:
    column = pa.array([datetime(2021, 7, 1, 12, tzinfo=UTC), None], pa.timestamp("ms", "UTC"))
    times, _ = to_datetime64(column)
    assert times.astype(str).tolist() == ["2021-07-01T08:00:00.000000", "NaT"]


def test_times_in_text_are_parsed_as_in_the_functions() -> None:
    texts = pa.array(
        [
            *("2021-07-01 08:30:59", "2021-07-01T12:00:00Z", "07/01/2021 08:30:59 PM", None, "NaT"),
            *("n/a", "2021-02-30 08:00:00", "01/07/2021 08:30", "2021-07-01", "1625128200"),
        ]
    )
    times, unreadable = to_datetime64(texts)
    assert times.astype("datetime64[s]").astype(str).tolist() == [
        *("2021-07-01T08:30:59", "2021-07-01T08:00:00", "2021-07-01T20:30:59"),
        *["NaT"] * 7,
    ]
    assert unreadable.tolist() == [False] * 5 + [True] * 5
    encoded, also = to_datetime64(texts.dictionary_encode())
    assert encoded.astype(str).tolist() == times.astype(str).tolist()
    assert also.tolist() == unreadable.tolist()


DIGITS = r"[12][0-9]{3}-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-6][0-9]:[0-6][0-9]"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.datetimes().map(str) | st.from_regex(DIGITS, fullmatch=True), max_size=5))
def test_common_times_have_the_same_value_as_when_parsed_one_by_one(texts: list[str]) -> None:
    times, unreadable = to_datetime64(pa.array(texts, pa.string()))
    for text, time, wrong in zip(texts, times, unreadable, strict=True):
        try:
            assert np.datetime64(new_york_time(text)) == time
        except ValueError:
            assert wrong


@pytest.mark.parametrize(
    "column", [pa.array([1614586800000000]), pa.array([date(2021, 3, 1)]), pa.array([b"x"])]
)
def test_other_types_are_not_times(column: pa.Array) -> None:
    with pytest.raises(pa.ArrowTypeError, match="expected times, not"):
        to_datetime64(column)


def test_nothing_at_all_is_missing_times() -> None:
    times, unreadable = to_datetime64(pa.nulls(2))
    assert np.isnat(times).all()
    assert not unreadable.any()


def test_is_text() -> None:
    assert is_text(pa.string())
    assert is_text(pa.dictionary(pa.int8(), pa.large_string()))
    assert not is_text(pa.dictionary(pa.int8(), pa.int64()))


@pytest.mark.parametrize(
    ("types", "common"),
    [
        ([pa.int32(), pa.int64(), pa.int8()], pa.int64()),
        ([pa.int64(), pa.null()], pa.int64()),
        ([pa.int64(), pa.float64()], pa.float64()),
        ([pa.decimal128(5, 2), pa.int64()], pa.float64()),
        ([pa.uint64(), pa.int64()], pa.float64()),
        ([pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())], pa.string()),
        ([pa.timestamp("ns"), pa.timestamp("ms")], pa.timestamp("us")),
        ([pa.timestamp("us", "UTC"), pa.timestamp("us", "America/New_York")], pa.timestamp("us", "UTC")),
        ([pa.timestamp("us", "UTC"), pa.timestamp("us")], pa.string()),
        ([pa.int64(), pa.string()], pa.string()),
        ([pa.null(), pa.null()], pa.null()),
    ],
    ids=str,
)
def test_the_common_type_of_columns(types: list[pa.DataType], common: pa.DataType) -> None:
    assert common_type(types) == common


def test_times_with_and_without_a_zone_keep_their_meaning_as_text() -> None:
    moment = datetime(2021, 7, 1, 12, tzinfo=UTC)
    zoned = pa.array([moment], pa.timestamp("us", "America/New_York"))
    naive = pa.array([datetime(2021, 7, 1, 8)], pa.timestamp("ns"))
    for column in (zoned, naive):
        times, _ = to_datetime64(convert(column, pa.string()))
        assert times.astype(str).tolist() == ["2021-07-01T08:00:00.000000"]


def test_text_becomes_what_the_csv_reader_found() -> None:
    assert convert(pa.array([" 7", None]), pa.int64()).to_pylist() == [7, None]
    assert convert(pa.array(["7.50", None]), pa.float64()).to_pylist() == [7.5, None]
    assert convert(pa.array(["True", "false", None]), pa.bool_()).to_pylist() == [True, False, None]
