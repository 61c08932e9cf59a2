"""The batch pipeline in one process writes what `score` writes, whatever the layout of the input."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.errors import ModelUnavailable
from jobs.beam import batch
from jobs.beam.batch import PREDICTED, ROWS
from jobs.beam.launch import PipelineFailed
from jobs.scoring.job import ScoringRequest, ScoringResult
from jobs.storage.errors import FileAccessError
from jobs.storage.tables import open_table
from jobs.trips.synthetic import generate_month
from tests.jobs.beam.conftest import KINDS, Run, rows_below
from tests.jobs.scoring.conftest import write_trips

Score = Callable[..., ScoringResult]
MONTH = "taxi_type=green/year=2021/month=03"


@pytest.fixture(scope="session")
def grouped_march(march: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same month in row groups of all sizes: some span many shards, some shards span many groups."""
    path = tmp_path_factory.mktemp("grouped") / march.name
    month = pq.read_table(march)
    with pq.ParquetWriter(path, month.schema) as writer:
        first = 0
        for rows in (21_000, 10, 0, 700, 300, 6_000, 11_990):
            writer.write_table(month.slice(first, rows), row_group_size=rows or None)
            first += rows
    assert first == month.num_rows
    return path


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "SHARD_ROWS", 5_000)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("name", ["march", "grouped_march"])
def test_every_row_equals_that_of_score(
    name: str, request: pytest.FixtureRequest, beam: Run, score: Score, tmp_path: Path
) -> None:
    path = request.getfixturevalue(name)
    result = beam(path)
    assert result.outputs[0][1] > 5
    score(path, str(tmp_path / "scored"))
    for kind in KINDS:
        assert rows_below(tmp_path / "out", kind).equals(rows_below(tmp_path / "scored", kind))
    assert result.counts[ROWS] == 40_000
    assert result.counts[PREDICTED] == rows_below(tmp_path / "out").num_rows


def test_a_real_month_equals_that_of_score(
    real_months: dict[str, Path], beam: Run, score: Score, tmp_path: Path, small_shards: None
) -> None:
    beam(real_months["2021-03"])
    score(real_months["2021-03"], str(tmp_path / "scored"))
    predictions = rows_below(tmp_path / "out")
    assert predictions.num_rows == 80_372
    assert predictions.equals(rows_below(tmp_path / "scored"))
    assert rows_below(tmp_path / "out", "rejected/").equals(rows_below(tmp_path / "scored", "rejected/"))


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("kind", ["csv", "parts"])
def test_other_files_equal_those_of_score(
    kind: str, march: Path, beam: Run, score: Score, tmp_path: Path
) -> None:
    month = pq.read_table(march)
    path = tmp_path / ("2021-03.csv" if kind == "csv" else "2021-03")
    if kind == "csv":
        month.to_pandas().to_csv(path, index=False)
    else:
        path.mkdir()
        month.slice(0, 12_345).to_pandas().to_csv(path / "part-0.csv.gz", index=False)
        pq.write_table(month.slice(12_345), path / "part-1.parquet")
    assert beam(path).outputs[0][1] > 1
    score(path, str(tmp_path / "scored"))
    for folder in KINDS:
        assert rows_below(tmp_path / "out", folder).equals(rows_below(tmp_path / "scored", folder))
    score(march, str(tmp_path / "parquet"))
    assert rows_below(tmp_path / "out").equals(rows_below(tmp_path / "parquet"))
    assert not list((tmp_path / "out").glob(".*"))


def test_a_column_that_cannot_be_read_is_an_error_before_anything_is_written(
    beam: Run, tmp_path: Path
) -> None:
    path = write_trips(tmp_path / "2021-03.parquet", lpep_pickup_datetime=[1614586800])
    with pytest.raises(FileAccessError, match="has int64 in lpep_pickup_datetime, such as 1614586800"):
        beam(path)
    assert not list((tmp_path / "out").rglob("*.parquet"))


@pytest.mark.parametrize("rows", [1, 1000, 4_999, 5_000, 10**6])
def test_the_parts_of_a_file_make_up_the_file(grouped_march: Path, rows: int) -> None:
    month = pq.read_table(grouped_march)
    with open_table(str(grouped_march)) as source:
        split = source.split(rows)
    parts = [part for _, part in split]
    assert [part.first for part in parts] == np.cumsum([0, *(part.rows for part in parts)])[:-1].tolist()
    batches = [list(table.batches(month.column_names, 600, part)) for table, part in split]
    assert [sum(map(len, some)) for some in batches] == [part.rows for part in parts]
    assert all(len(batch) <= 600 for some in batches for batch in some)
    assert pa.Table.from_batches([batch for some in batches for batch in some]).equals(month)


def test_one_pipeline_scores_several_months(beam: Run, tmp_path: Path) -> None:
    paths = []
    for month in (2, 3, 4):
        paths.append(tmp_path / f"green_tripdata_2021-{month:02}.parquet")
        pq.write_table(generate_month(date(2021, month, 1), 1_000), paths[-1])
    beam(*paths)
    assert [path.parent.name for path in sorted((tmp_path / "out").glob("taxi_type=*/*/*/*.parquet"))] == [
        "month=02",
        "month=03",
        "month=04",
    ]
    ids = rows_below(tmp_path / "out")["ride_id"].to_pylist()
    assert {ride_id.partition("_")[0] for ride_id in ids} == {"2021/02", "2021/03", "2021/04"}


def test_any_table_that_the_model_accepts(beam: Run, score: Score, tmp_path: Path) -> None:
    table = tmp_path / "rows.parquet"
    columns = ("zone_pair", "known_distance", "pickup_minute", "zone_distance")
    pd.DataFrame(np.random.default_rng(1).uniform(0, 50, (3000, 4)), columns=list(columns)).to_parquet(table)
    beam(table)
    score(table, str(tmp_path / "scored"))
    assert rows_below(tmp_path / "out").equals(rows_below(tmp_path / "scored"))
    assert (tmp_path / "out/input=rows/onnx-00000-of-00001.parquet").is_file()


def test_a_month_without_rides_has_a_file_with_its_columns(beam: Run, tmp_path: Path) -> None:
    result = beam(write_trips(tmp_path / "green_tripdata_2021-03.parquet", 0))
    assert rows_below(tmp_path / "out").num_rows == 0
    assert "predicted_duration" in rows_below(tmp_path / "out").column_names
    assert result.counts[ROWS] == 0


def test_two_files_of_one_month_are_rejected_before_anything_is_written(
    march: Path, beam: Run, tmp_path: Path
) -> None:
    other = write_trips(tmp_path / "green_tripdata_2021-03.parquet")
    with pytest.raises(FileAccessError, match="replace each other"):
        beam(march, other)
    assert not list((tmp_path / "out").rglob("*"))


def test_a_file_that_is_given_twice_is_read_once(march: Path, beam: Run, tmp_path: Path) -> None:
    assert beam(march, march).counts[ROWS] == 40_000
    assert len(list((tmp_path / "out").glob("taxi_type=*/**/*.parquet"))) == 1


def test_predictions_do_not_replace_their_own_input(march: Path, beam: Run, tmp_path: Path) -> None:
    for name in ("onnx.parquet", "onnx-00000-of-00001.parquet"):
        path = tmp_path / "out" / MONTH / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(march.read_bytes())
        request = ScoringRequest(str(path), str(tmp_path / "out"), month=date(2021, 3, 1))
        with pytest.raises(FileAccessError, match="its own predictions"):
            beam(request)
        assert path.read_bytes() == march.read_bytes()


def test_a_single_file_is_rejected_as_output(march: Path, beam: Run, tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match="give a folder"):
        beam(march, output=str(tmp_path / "out.parquet"))


def test_a_damaged_file_leaves_existing_predictions_unchanged(march: Path, beam: Run, tmp_path: Path) -> None:
    beam(march)
    before = rows_below(tmp_path / "out")
    content = bytearray(march.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 5000] = bytes(5000)
    damaged = tmp_path / march.name
    damaged.write_bytes(content)
    with pytest.raises(PipelineFailed, match=r"2021-03.parquet cannot be (used|read)"):
        beam(damaged)
    assert rows_below(tmp_path / "out").equals(before)
    assert not list((tmp_path / "out").glob(".*"))


def test_a_missing_model_is_reported_at_once(march: Path, beam: Run, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable):
        beam(march, model=str(tmp_path / "none"))


def names(folder: Path) -> Sequence[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_replaces_its_own_predictions_and_no_others(
    march: Path, beam: Run, score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in KINDS:
        folder = tmp_path / "out" / kind / MONTH
        folder.mkdir(parents=True)
        (folder / "other-v2.parquet").touch()
        (folder / "other-v2-00000-of-00001.parquet").touch()
    others = ["other-v2-00000-of-00001.parquet", "other-v2.parquet"]
    expected = {
        "score": ["onnx.parquet"],
        "one": ["onnx-00000-of-00001.parquet"],
        "two": ["onnx-00000-of-00002.parquet", "onnx-00001-of-00002.parquet"],
    }
    for mode in ("score", "one", "two", "one", "score"):
        if mode == "score":
            score(march)
        else:
            monkeypatch.setattr(batch, "SHARD_ROWS", {"one": 40_000, "two": 20_000}[mode])
            beam(march)
        for kind in KINDS:
            assert names(tmp_path / "out" / kind / MONTH) == [*expected[mode], *others]
