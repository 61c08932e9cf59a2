"""Requests: models, months, taxis and outputs, and the errors for requests that cannot be met."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from functions.errors import ModelUnavailable, SettingsError
from jobs.registry.model_versions import VersionNotFound
from jobs.registry.release_pointer import find_release
from jobs.scoring.job import ScoringRequest, ScoringResult, run_scoring
from jobs.storage.errors import FileAccessError
from jobs.storage.parquet_writer import RowGroupWriter
from tests.jobs.scoring.conftest import table_of, write_trips
from tests.models import save_onnx

Score = Callable[..., ScoringResult]
MARCH = date(2021, 3, 1)


def test_the_month_comes_from_the_file_name_or_is_required(score: Score, tmp_path: Path) -> None:
    (tmp_path / "2019-01").mkdir()
    path = write_trips(tmp_path / "2019-01" / "trips.parquet")
    with pytest.raises(FileAccessError, match="give --year and --month"):
        score(path)
    assert table_of(score(path, month=MARCH)).ride_id.tolist() == ["2021/03_0"]
    for name in ("2021-13.parquet", "12021-03.parquet", "0000-01.parquet", "2021-03_of_2021-04.parquet"):
        with pytest.raises(FileAccessError, match="give --year and --month"):
            score(path.rename(path.with_name(name)))
        (path.with_name(name)).rename(path)


def test_taxis_come_from_the_columns_or_are_required(score: Score, tmp_path: Path) -> None:
    path = write_trips(tmp_path / "2021-03.parquet", prefix="")
    with pytest.raises(FileAccessError, match="give --taxi"):
        score(path)
    result = score(path, taxi="yellow")
    assert "/taxi_type=yellow/" in result.output.predictions
    assert table_of(result).columns[1] == "pickup_datetime"
    with pytest.raises(FileAccessError, match="are those of green taxis, not of yellow ones"):
        score(write_trips(tmp_path / "2021-03.parquet"), taxi="yellow")


def test_predictions_of_another_model_are_stored_beside(
    score: Score, march: Path, tmp_path: Path, other_onnx_folder: Path
) -> None:
    first = score(march)
    before = Path(first.output.predictions).read_bytes()
    second = score(march, model=str(other_onnx_folder))
    assert len(list((tmp_path / "out/taxi_type=green/year=2021/month=03").iterdir())) == 2
    assert Path(first.output.predictions).read_bytes() == before
    five_more = table_of(second).predicted_duration - table_of(first).predicted_duration
    assert five_more.between(4.9, 5.1).all()


def test_scoring_again_replaces_the_files_with_the_same_bytes(score: Score, march: Path) -> None:
    files = [Path(path) for path in score(march).output]
    before = [(file.read_bytes(), file.stat().st_ino) for file in files]
    score(march)
    after = [(file.read_bytes(), file.stat().st_ino) for file in files]
    assert [content for content, _ in after] == [content for content, _ in before]
    assert {inode for _, inode in after}.isdisjoint(inode for _, inode in before)


def test_an_input_is_not_replaced_by_its_predictions(score: Score, tmp_path: Path) -> None:
    path = write_trips(tmp_path / "2021-03.parquet")
    before = path.read_bytes()
    for same in (str(path), f"{tmp_path}/./2021-03.parquet"):
        with pytest.raises(FileAccessError, match="replaced by its own predictions"):
            score(path, same)
    assert path.read_bytes() == before


def test_missing_columns_are_named(score: Score, tmp_path: Path) -> None:
    pq.write_table(pa.table({"customer": [1]}), tmp_path / "customers.parquet")
    with pytest.raises(
        FileAccessError, match=r"customers\.parquet has no column zone_pair, .*which onnx version"
    ):
        score(tmp_path / "customers.parquet")


def test_a_column_that_differs_only_in_case_is_suggested(score: Score, tmp_path: Path) -> None:
    columns = {"Zone_Pair": [1.0], "known_distances": [1.0], "pickup_minute": [1.0], "zone_distance": [1.0]}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    with pytest.raises(FileAccessError) as raised:
        score(tmp_path / "rows.parquet")
    assert "has no column zone_pair, known_distance, which onnx version onnx takes: " in str(raised.value)
    assert "rename Zone_Pair to zone_pair, known_distances to known_distance" in str(raised.value)


def test_a_csv_table_keeps_its_identifiers(score: Score, tmp_path: Path) -> None:
    rows = "id,zone_pair,known_distance,pickup_minute,zone_distance\n007,130205,3.66,500,1.5\n8,7007,1.5,,0\n"
    (tmp_path / "rides of may.csv").write_text(rows)
    result = score(tmp_path / "rides of may.csv")
    assert "/input=rides-of-may/" in result.output.predictions
    table = table_of(result)
    assert table["id"].tolist() == ["007", "8"]
    assert table.known_distance.tolist() == [3.66, 1.5]
    columns = {"zone_pair": [130205, 7007], "known_distance": [3.66, 1.5], "zone_distance": [1.5, 0.0]}
    pq.write_table(pa.table(columns | {"pickup_minute": [500.0, None]}), tmp_path / "rows.parquet")
    parquet = table_of(score(tmp_path / "rows.parquet"))
    assert table.predicted_ride_duration.tolist() == parquet.predicted_ride_duration.tolist()


def test_a_missing_file_is_found_before_the_model_is_loaded(score: Score, tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match="nowhere does not exist"):
        score(tmp_path / "nowhere", model=str(tmp_path / "no-model"))


def test_the_homework_needs_durations_of_trips(score: Score, tmp_path: Path) -> None:
    fares = save_onnx(tmp_path / "fares", metadata={"target": "ride_fare", "unit": "dollars"})
    path = write_trips(tmp_path / "2021-03.parquet")
    with pytest.raises(FileAccessError, match="predicts ride_fare"):
        score(path, model=str(fares), columns=("ride_id", "predicted_duration"))
    table = table_of(score(path, model=str(fares)))
    assert table.predicted_fare.notna().all()
    assert table[["actual_fare", "diff"]].isna().all(axis=None)


def test_a_failed_write_leaves_both_files_unchanged(
    score: Score, march: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = score(march)
    files = [Path(path) for path in result.output]
    before = [(file.read_bytes(), file.stat().st_ino) for file in files]
    close = RowGroupWriter.close

    def full(groups: RowGroupWriter) -> None:
        close(groups)
        raise FileAccessError("no room for the last row group")

    monkeypatch.setattr(RowGroupWriter, "close", full)
    with pytest.raises(FileAccessError, match="no room"):
        score(march)
    assert [(file.read_bytes(), file.stat().st_ino) for file in files] == before


def test_a_model_that_cannot_be_found(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="give --model, or set MODEL_BUCKET"):
        find_release("", {})
    with pytest.raises(SettingsError, match="set MLFLOW_TRACKING_URI to its address"):
        find_release("models:/churn@champion", {})
    with pytest.raises(VersionNotFound, match="no version of churn has the alias champion"):
        find_release("models:/churn@champion", {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/db"})


def test_a_model_in_any_format_gives_its_own_predictions(
    score: Score, march: Path, skops_folder: Path, course_folder: Path, pickle_folder: Path
) -> None:
    onnx, skops = table_of(score(march)), table_of(score(march, model=str(skops_folder)))
    assert (onnx.predicted_duration - skops.predicted_duration).abs().max() < 0.001
    assert len(table_of(score(march, model=str(course_folder)))) == len(onnx)
    with pytest.raises(ModelUnavailable, match="ALLOW_PICKLE"):
        score(march, model=str(pickle_folder))
    unpickled = table_of(score(march, model=str(pickle_folder), allow_pickle=True))
    assert unpickled.predicted_duration.tolist() == skops.predicted_duration.tolist()


def test_a_damaged_input_leaves_the_output_unchanged(score: Score, march: Path, tmp_path: Path) -> None:
    path = tmp_path / march.name
    path.write_bytes(march.read_bytes())
    files = [Path(name) for name in score(path).output]
    before = [file.read_bytes() for file in files]
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 100_000] = bytes(100_000)
    path.write_bytes(content)
    with pytest.raises(FileAccessError, match="Corrupt snappy compressed data"):
        score(path)
    assert [file.read_bytes() for file in files] == before
    assert {path for path in (tmp_path / "out").rglob("*") if path.is_file()} == set(files)


def test_progress_is_shown(
    march: Path, tmp_path: Path, onnx_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(force_terminal=True, width=100)
    run_scoring(ScoringRequest(str(march), str(tmp_path), model=str(onnx_folder)), console)
    assert "rows/s" in capsys.readouterr().out
