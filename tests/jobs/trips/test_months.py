from datetime import date

import pytest

from jobs.storage.errors import FileAccessError
from jobs.trips.months import InvalidMonth, format_uri, month_before, months_between


@pytest.mark.parametrize(
    ("day", "months", "before"),
    [
        (date(2021, 4, 2), 1, date(2021, 3, 1)),
        (date(2021, 1, 2), 1, date(2020, 12, 1)),
        (date(2021, 1, 31), 3, date(2020, 10, 1)),
        (date(2021, 3, 31), 1, date(2021, 2, 1)),
        (date(2021, 3, 31), 15, date(2019, 12, 1)),
        (date(2020, 12, 31), 0, date(2020, 12, 1)),
        (date(2020, 12, 31), -1, date(2021, 1, 1)),
    ],
)
def test_the_month_before(day: date, months: int, before: date) -> None:
    assert month_before(day, months) == before


def test_a_range_of_months_has_both_ends_and_crosses_the_year() -> None:
    assert months_between("2020-11", "2021-02") == [
        date(2020, 11, 1),
        date(2020, 12, 1),
        date(2021, 1, 1),
        date(2021, 2, 1),
    ]
    assert months_between("2021-02", "2021-02") == [date(2021, 2, 1)]


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("2021-03", "2021-02", "2021-02 comes before 2021-03"),
        ("2021-13", "2021-02", "'2021-13' is not a valid month: write it like 2021-03"),
        ("2021-01", "2021-02-01", "'2021-02-01' is not a valid month"),
        ("", "2021-02", "'' is not a valid month"),
    ],
)
def test_invalid_ranges_of_months(first: str, last: str, message: str) -> None:
    with pytest.raises(InvalidMonth, match=message):
        months_between(first, last)


def test_a_pattern_is_filled_in() -> None:
    pattern = "gs://b/{year:04d}-{month:02d}.parquet"
    assert format_uri(pattern, date(2021, 3, 1)) == "gs://b/2021-03.parquet"
    assert format_uri("plain.parquet", None) == "plain.parquet"
    with pytest.raises(FileAccessError, match="needs --year and --month"):
        format_uri(pattern, None)
    for pattern in ("{day}", "{year[0]}", "{month.x}", "{year:zz}", "{", "{taxi_type}"):
        with pytest.raises(FileAccessError, match="may contain"):
            format_uri(pattern, date(2021, 3, 1))
    assert format_uri("{taxi_type}_{month}", date(2021, 3, 1), "green") == "green_3"


def test_a_pattern_takes_the_taxi_too() -> None:
    pattern = "https://tlc/{taxi_type}_tripdata_{year:04d}-{month:02d}.parquet"
    assert format_uri(pattern, date(2021, 3, 1), "yellow") == "https://tlc/yellow_tripdata_2021-03.parquet"
    with pytest.raises(FileAccessError, match=r"with --taxi, \{taxi_type\}"):
        format_uri(pattern, date(2021, 3, 1))
