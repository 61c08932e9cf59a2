from datetime import date
from pathlib import Path

import pytest

from functions.releases import Release
from jobs.scoring.layout import (
    is_complete,
    month_partition,
    output_files,
    remove_stale_files,
    shard_uri,
    unsharded,
)

RELEASE = Release(name="ride-duration", version="7", run_id="0123abcd", location="")
MARCH = month_partition("green", date(2021, 3, 1))


@pytest.mark.parametrize("output", ["out", "out/", "gs://bucket/predictions"])
def test_a_folder_gets_the_course_s_layout(output: str) -> None:
    files = output_files(output, MARCH, RELEASE)
    folder = output.rstrip("/")
    assert files.predictions == f"{folder}/taxi_type=green/year=2021/month=03/0123abcd-v7.parquet"
    assert files.rejected == f"{folder}/rejected/taxi_type=green/year=2021/month=03/0123abcd-v7.parquet"


def test_an_output_may_be_a_single_file() -> None:
    assert output_files("gs://b/2021-03.parquet", MARCH, RELEASE) == (
        "gs://b/2021-03.parquet",
        "gs://b/2021-03.rejected.parquet",
    )


def test_two_models_without_a_run_have_different_files() -> None:
    releases = [Release(name=name, version="1", location="") for name in ("fare", "tip")]
    names = [output_files("out", (), release).predictions for release in releases]
    assert names == ["out/fare-v1.parquet", "out/tip-v1.parquet"]


def test_a_version_without_a_run_gives_the_file_name() -> None:
    release = Release(name="ride-duration", version="../m:1 é", location="")
    assert output_files("out", (), release).predictions == "out/-m-1-é.parquet"


def test_a_shard_knows_its_file() -> None:
    assert shard_uri("out/run-v1.parquet", 3, 12) == "out/run-v1-00003-of-00012.parquet"
    assert unsharded(shard_uri("run-v1.parquet", 3, 12)) == "run-v1.parquet"
    assert unsharded("run-v1.parquet") == "run-v1.parquet"


def test_only_its_own_run_is_removed(tmp_path: Path) -> None:
    others = ["run-v10.parquet", "run-v1-00000.parquet", "run-v1-00000-of-00002.parquet.crc", "a.parquet"]
    own = ["run-v1.parquet", *(shard_uri("run-v1.parquet", number, 2) for number in range(2))]
    for name in [*others, *own]:
        (tmp_path / name).touch()
    remove_stale_files(str(tmp_path / "run-v1.parquet"), [own[1], own[2]])
    assert {path.name for path in tmp_path.iterdir()} == {*others, own[1], own[2]}
    remove_stale_files(str(tmp_path / "none" / "run-v1.parquet"), [])


def test_a_run_is_complete_when_all_its_shards_exist(tmp_path: Path) -> None:
    file = str(tmp_path / "run-v1.parquet")
    assert not is_complete(file)
    (tmp_path / "run-v1-00000-of-00002.parquet").touch()
    assert not is_complete(file)
    (tmp_path / "run-v1-00001-of-00002.parquet").touch()
    assert is_complete(file)
    assert not is_complete(str(tmp_path / "run-v2.parquet"))
