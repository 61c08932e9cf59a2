from datetime import date

import pytest

from functions.releases import Release
from jobs.scoring.layout import month_partition, output_of

RELEASE = Release(name="ride-duration", version="7", run_id="0123abcd", location="")
MARCH = month_partition("green", date(2021, 3, 1))


@pytest.mark.parametrize("place", ["out", "out/", "gs://bucket/predictions"])
def test_a_folder_gets_the_course_s_layout(place: str) -> None:
    output = output_of(place, MARCH, RELEASE)
    folder = place.rstrip("/")
    assert output.predictions == f"{folder}/taxi_type=green/year=2021/month=03/0123abcd-v7.parquet"
    assert output.rejected == f"{folder}/rejected/taxi_type=green/year=2021/month=03/0123abcd-v7.parquet"


def test_a_file_is_that_file() -> None:
    assert output_of("gs://b/2021-03.parquet", MARCH, RELEASE) == (
        "gs://b/2021-03.parquet",
        "gs://b/2021-03.rejected.parquet",
    )


def test_a_version_without_a_run_is_called_by_its_name() -> None:
    release = Release(name="ride-duration", version="../m:1 é", location="")
    assert output_of("out", (), release).predictions == "out/-m-1-é.parquet"
