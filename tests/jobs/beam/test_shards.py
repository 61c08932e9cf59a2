from pathlib import Path

import pyarrow as pa
import pytest

from jobs.beam.shards import ShardWriter, Written, put_in_place, waiting_place
from jobs.scoring.engine import Scored
from jobs.scoring.layout import Output
from jobs.scoring.stats import Outcome

BATCH = pa.RecordBatch.from_pydict({"n": [1, 2]})
SCORED = Scored(BATCH, BATCH.slice(0, 0), Outcome(predicted=2))


def write(waiting: str, number: int) -> Written:
    writer = ShardWriter(waiting, number)
    writer.write(SCORED)
    return writer.close()


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_shards_are_whole_before_the_first_is_seen_and_moving_them_again_is_harmless(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "month" / "run.parquet"), str(tmp_path / "rejected" / "run.parquet"))
    with waiting_place(str(tmp_path)) as waiting:
        shards = [write(waiting, number) for number in (1, 0)]
        assert not (tmp_path / "month").exists()
        put_in_place(shards, output)
        put_in_place(shards, output)
    expected = [f"run-0000{number}-of-00002.parquet" for number in (0, 1)]
    assert files(tmp_path) == [f"{folder}/{name}" for folder in ("month", "rejected") for name in expected]


def test_a_second_try_does_not_meet_the_first(tmp_path: Path) -> None:
    with waiting_place(str(tmp_path)) as waiting:
        first, second = write(waiting, 0), write(waiting, 0)
        assert first.predictions != second.predictions


def test_a_shard_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    writer = ShardWriter(str(tmp_path), 0)
    writer.write(SCORED)
    writer.give_up()
    assert files(tmp_path) == []


def test_what_a_killed_run_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    left = tmp_path / ".beam-0000"
    left.mkdir()
    (left / "00000-1234.predictions").touch()
    with waiting_place(str(tmp_path)) as living, waiting_place(str(tmp_path)) as own:
        assert Path(living).is_dir()
        assert Path(own).is_dir()
        assert not left.exists()
    assert not list(tmp_path.iterdir())


def test_a_run_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with waiting_place(str(tmp_path)) as waiting:
            write(waiting, 0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not list(tmp_path.iterdir())
