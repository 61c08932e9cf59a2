import pytest

from jobs.trips.names import describe_files

MONTH = "green_tripdata_2021-{:02d}.parquet"


@pytest.mark.parametrize(
    ("uris", "name"),
    [
        ([f"data/{MONTH.format(1)}"], "green 2021-01"),
        (["https://ann:pw@host/yellow_tripdata_2020-12.parquet?sig=s3cret"], "yellow 2020-12"),
        (["gs://b/fhvhv_tripdata_2021-01.csv.gz"], "fhvhv 2021-01"),
        (["/c/0123456789ab-green_tripdata_2021-01.parquet"], "green 2021-01"),
        ([MONTH.format(1), MONTH.format(2), MONTH.format(3)], "green 2021-01 to 2021-03"),
        ([MONTH.format(1), MONTH.format(3)], "green 2021-01, green 2021-03"),
        ([MONTH.format(1), "yellow_tripdata_2021-02.parquet"], "green 2021-01, yellow 2021-02"),
        (["green_tripdata_2021-13.parquet"], "green_tripdata_2021-13"),
        (["our trips.v2.parquet"], "our trips.v2"),
        (["gs://bucket/rides/2021/"], "2021"),
        ([f"part-{number}.parquet" for number in range(4)], "part-0, part-1, part-2 and 1 more file"),
        ([f"part-{number}.parquet" for number in range(900)], "part-0, part-1, part-2 and 897 more files"),
    ],
)
def test_files_have_short_names(uris: list[str], name: str) -> None:
    assert describe_files(uris) == name
