from datetime import date
from pathlib import Path

import pytest

from jobs.storage.errors import FileAccessError
from jobs.trips.download import TLC_URL
from jobs.trips.months import (
    InvalidMonth,
    expand_months,
    find_month,
    format_uri,
    month_before,
    months_between,
)


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


@pytest.mark.parametrize(
    ("uri", "files", "month"),
    [
        ("2019-01/trips-2021-03.parquet", ["2019-01/trips-2021-03.parquet"], 3),
        ("trips", ["trips/green_2021-03_a.csv", "trips/green_2021-03_b.csv"], 3),
        ("trips/2021-03/", ["trips/2021-03/part-0"], 3),
        ("gs://b/green/2021/03", ["gs://b/green/2021/03/part-0"], 3),
        ("year=2021/month=3", ["year=2021/month=3/part-0", "year=2021/month=3/part-1"], 3),
        ("trips/green_2021-03/part-*.parquet", ["trips/green_2021-03/part-0.parquet"], 3),
        ("2021/03/*", ["2021/03/part-0", "2021/03/part-1"], 3),
    ],
)
def test_the_month_of_a_table_is_in_its_files_names_or_its_folders(
    uri: str, files: list[str], month: int
) -> None:
    assert find_month(uri, files) == date(2021, month, 1)


@pytest.mark.parametrize(
    ("uri", "files", "message"),
    [
        ("2021-03/part-0", ["2021-03/part-0"], "the name of 2021-03/part-0 does not tell its month"),
        ("all", ["all/2021-02.csv", "all/2021-03.csv"], r"all holds several months \(2021-02, 2021-03\)"),
        ("2021/13", ["2021/13/part-0"], "does not tell its month"),
        ("parts", ["parts/a", "parts/b"], "give --year and --month"),
    ],
)
def test_a_table_of_no_month_or_of_several_is_an_error(uri: str, files: list[str], message: str) -> None:
    with pytest.raises(FileAccessError, match=message):
        find_month(uri, files)


def test_a_pattern_is_several_months_if_the_names_tell_them(tmp_path: Path) -> None:
    for name in ("2021-02.csv", "2021-03.csv", "part-0.csv", "part-1.csv"):
        (tmp_path / name).touch()
    assert expand_months(f"{tmp_path}/2021-*") == [f"{tmp_path}/2021-02.csv", f"{tmp_path}/2021-03.csv"]
    for single in (f"{tmp_path}/part-*", f"{tmp_path}/2021-02.csv", str(tmp_path)):
        assert expand_months(single) == [single]
    with pytest.raises(FileAccessError, match="matches no file"):
        expand_months(f"{tmp_path}/none-*")


def test_tlcs_own_addresses_are_filled_in() -> None:
    pattern = TLC_URL + "green_tripdata_{year:04d}-{month:02d}.parquet"
    assert format_uri(pattern, date(2021, 3, 1)) == (
        "https://d37ci6vzurychx.cloudfront.net/trip-data/green_tripdata_2021-03.parquet"
    )


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
