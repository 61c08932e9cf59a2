from datetime import date
from pathlib import Path

import pytest

from functions.releases import Release
from jobs.scoring.layout import is_there, month_partition, output_of, remove_others, shard, whole

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


def test_a_shard_knows_its_file() -> None:
    assert shard("out/run-v1.parquet", 3, 12) == "out/run-v1-00003-of-00012.parquet"
    assert whole(shard("run-v1.parquet", 3, 12)) == "run-v1.parquet"
    assert whole("run-v1.parquet") == "run-v1.parquet"


def test_only_its_own_run_is_removed(tmp_path: Path) -> None:
    others = ["run-v10.parquet", "run-v1-00000.parquet", "run-v1-00000-of-00002.parquet.crc", "a.parquet"]
    own = ["run-v1.parquet", *(shard("run-v1.parquet", number, 2) for number in range(2))]
    for name in [*others, *own]:
        (tmp_path / name).touch()
    remove_others(str(tmp_path / "run-v1.parquet"), [own[1], own[2]])
    assert {path.name for path in tmp_path.iterdir()} == {*others, own[1], own[2]}
    remove_others(str(tmp_path / "none" / "run-v1.parquet"), [])


def test_a_run_is_there_when_all_its_shards_are(tmp_path: Path) -> None:
    file = str(tmp_path / "run-v1.parquet")
    assert not is_there(file)
    (tmp_path / "run-v1-00000-of-00002.parquet").touch()
    assert not is_there(file)
    (tmp_path / "run-v1-00001-of-00002.parquet").touch()
    assert is_there(file)
    assert not is_there(str(tmp_path / "run-v2.parquet"))
