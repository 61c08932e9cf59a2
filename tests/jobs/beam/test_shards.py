from pathlib import Path

import pyarrow as pa
import pytest

from jobs.beam.shards import ShardWriter, WrittenShard, commit_shards, staging_dir
from jobs.scoring.engine import ScoredBatch
from jobs.scoring.layout import OutputFiles
from jobs.scoring.stats import ScoringStats

BATCH = pa.RecordBatch.from_pydict({"n": [1, 2]})
SCORED = ScoredBatch(BATCH, BATCH.slice(0, 0), ScoringStats(predicted=2))


def write(staging: str, number: int) -> WrittenShard:
    writer = ShardWriter(staging, number)
    writer.write(SCORED)
    return writer.close()


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_shards_are_committed_together_and_committing_again_is_harmless(tmp_path: Path) -> None:
    output = OutputFiles(str(tmp_path / "month" / "run.parquet"), str(tmp_path / "rejected" / "run.parquet"))
    with staging_dir(str(tmp_path)) as staging:
        shards = [write(staging, number) for number in (1, 0)]
        assert not (tmp_path / "month").exists()
        commit_shards(shards, output)
        commit_shards(shards, output)
    expected = [f"run-0000{number}-of-00002.parquet" for number in (0, 1)]
    assert files(tmp_path) == [f"{folder}/{name}" for folder in ("month", "rejected") for name in expected]


def test_two_attempts_write_to_different_files(tmp_path: Path) -> None:
    with staging_dir(str(tmp_path)) as staging:
        first, second = write(staging, 0), write(staging, 0)
        assert first.predictions != second.predictions


def test_an_aborted_shard_leaves_nothing(tmp_path: Path) -> None:
    writer = ShardWriter(str(tmp_path), 0)
    writer.write(SCORED)
    writer.abort()
    assert files(tmp_path) == []


def test_staging_folders_of_killed_runs_are_removed_and_of_running_ones_are_not(
    tmp_path: Path,
) -> None:
    leftover = tmp_path / ".beam-0000"
    leftover.mkdir()
    (leftover / "00000-1234.predictions").touch()
    with staging_dir(str(tmp_path)) as running, staging_dir(str(tmp_path)) as own:
        assert Path(running).is_dir()
        assert Path(own).is_dir()
        assert not leftover.exists()
    assert not list(tmp_path.iterdir())


def test_a_run_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with staging_dir(str(tmp_path)) as staging:
            write(staging, 0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not list(tmp_path.iterdir())
