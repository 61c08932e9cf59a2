"""What is asked for, and what cannot be done."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from functions.errors import ModelUnavailable, SettingsError
from jobs.registry.model_versions import NoSuchVersion
from jobs.registry.release_pointer import find_release
from jobs.scoring.job import Done, Wish, score_place
from jobs.storage.files import FileAccessError
from jobs.storage.parquet_writer import RowGroups
from jobs.trips.months import fill_in
from tests.jobs.scoring.conftest import table_of, write_trips
from tests.models import save_onnx

Score = Callable[..., Done]
MARCH = date(2021, 3, 1)


def test_a_pattern_is_filled_in() -> None:
    pattern = "gs://b/{year:04d}-{month:02d}.parquet"
    assert fill_in(pattern, MARCH) == "gs://b/2021-03.parquet"
    assert fill_in("plain.parquet", None) == "plain.parquet"
    with pytest.raises(FileAccessError, match="needs --year and --month"):
        fill_in(pattern, None)
    for odd in ("{day}", "{year[0]}", "{month.x}", "{year:zz}", "{", "{taxi_type}"):
        with pytest.raises(FileAccessError, match="may hold"):
            fill_in(odd, MARCH)
    assert fill_in("{taxi_type}_{month}", MARCH, "green") == "green_3"


def test_the_month_comes_from_the_file_s_name_or_is_asked_for(score: Score, tmp_path: Path) -> None:
    (tmp_path / "2019-01").mkdir()
    place = write_trips(tmp_path / "2019-01" / "trips.parquet")
    with pytest.raises(FileAccessError, match="give --year and --month"):
        score(place)
    assert table_of(score(place, month=MARCH)).ride_id.tolist() == ["2021/03_0"]
    for name in ("2021-13.parquet", "12021-03.parquet", "0000-01.parquet", "2021-03_of_2021-04.parquet"):
        with pytest.raises(FileAccessError, match="give --year and --month"):
            score(place.rename(place.with_name(name)))
        (place.with_name(name)).rename(place)


def test_taxis_come_from_the_columns_or_are_asked_for(score: Score, tmp_path: Path) -> None:
    place = write_trips(tmp_path / "2021-03.parquet", prefix="")
    with pytest.raises(FileAccessError, match="give --taxi"):
        score(place)
    done = score(place, taxi="yellow")
    assert "/taxi_type=yellow/" in done.output.predictions
    assert table_of(done).columns[1] == "pickup_datetime"
    with pytest.raises(FileAccessError, match="are those of green taxis, not of yellow ones"):
        score(write_trips(tmp_path / "2021-03.parquet"), taxi="yellow")


def test_another_model_s_predictions_stand_beside(
    score: Score, march: Path, tmp_path: Path, other_onnx_folder: Path
) -> None:
    first = score(march)
    before = Path(first.output.predictions).read_bytes()
    second = score(march, model=str(other_onnx_folder))
    assert len(list((tmp_path / "out/taxi_type=green/year=2021/month=03").iterdir())) == 2
    assert Path(first.output.predictions).read_bytes() == before
    five_more = table_of(second).predicted_duration - table_of(first).predicted_duration
    assert five_more.between(4.9, 5.1).all()


def test_the_same_again_replaces_itself_with_the_same_bytes(score: Score, march: Path) -> None:
    files = [Path(place) for place in score(march).output]
    before = [(file.read_bytes(), file.stat().st_ino) for file in files]
    score(march)
    after = [(file.read_bytes(), file.stat().st_ino) for file in files]
    assert [content for content, _ in after] == [content for content, _ in before]
    assert {inode for _, inode in after}.isdisjoint(inode for _, inode in before)


def test_an_input_is_not_replaced_by_its_predictions(score: Score, tmp_path: Path) -> None:
    place = write_trips(tmp_path / "2021-03.parquet")
    before = place.read_bytes()
    for same in (str(place), f"{tmp_path}/./2021-03.parquet"):
        with pytest.raises(FileAccessError, match="replaced by its own predictions"):
            score(place, same)
    assert place.read_bytes() == before


def test_what_a_model_needs_and_a_table_lacks_is_named(score: Score, tmp_path: Path) -> None:
    pq.write_table(pa.table({"customer": [1]}), tmp_path / "customers.parquet")
    with pytest.raises(
        FileAccessError, match=r"customers\.parquet has no column zone_pair, .*which onnx version"
    ):
        score(tmp_path / "customers.parquet")


def test_the_homework_is_about_durations_of_trips(score: Score, tmp_path: Path) -> None:
    fares = save_onnx(tmp_path / "fares", metadata={"target": "ride_fare", "unit": "dollars"})
    place = write_trips(tmp_path / "2021-03.parquet")
    with pytest.raises(FileAccessError, match="predicts ride_fare"):
        score(place, model=str(fares), columns=("ride_id", "predicted_duration"))
    table = table_of(score(place, model=str(fares)))
    assert table.predicted_fare.notna().all()
    assert table[["actual_fare", "diff"]].isna().all(axis=None)


def test_half_of_the_predictions_is_no_reason_to_show_what_was_rejected(
    score: Score, march: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = score(march)
    files = [Path(place) for place in done.output]
    before = [(file.read_bytes(), file.stat().st_ino) for file in files]
    close = RowGroups.close

    def full(groups: RowGroups) -> None:
        close(groups)
        raise FileAccessError("no room for the last row group")

    monkeypatch.setattr(RowGroups, "close", full)
    with pytest.raises(FileAccessError, match="no room"):
        score(march)
    assert [(file.read_bytes(), file.stat().st_ino) for file in files] == before


def test_where_to_look_for_a_model(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Give --model, or set MODEL_BUCKET"):
        find_release("", {})
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_URI is not set"):
        find_release("models:/churn@champion", {})
    with pytest.raises(NoSuchVersion, match="has no models:/churn@champion"):
        find_release("models:/churn@champion", {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/db"})


def test_a_model_in_any_format_gives_its_own_numbers(
    score: Score, march: Path, skops_folder: Path, course_folder: Path, pickle_folder: Path
) -> None:
    onnx, skops = table_of(score(march)), table_of(score(march, model=str(skops_folder)))
    assert (onnx.predicted_duration - skops.predicted_duration).abs().max() < 0.001
    assert len(table_of(score(march, model=str(course_folder)))) == len(onnx)
    with pytest.raises(ModelUnavailable, match="ALLOW_PICKLE"):
        score(march, model=str(pickle_folder))
    unpickled = table_of(score(march, model=str(pickle_folder), allow_pickle=True))
    assert unpickled.predicted_duration.tolist() == skops.predicted_duration.tolist()


def test_a_file_that_breaks_off_leaves_what_was_there(score: Score, march: Path, tmp_path: Path) -> None:
    place = tmp_path / march.name
    place.write_bytes(march.read_bytes())
    files = [Path(name) for name in score(place).output]
    before = [file.read_bytes() for file in files]
    content = bytearray(place.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 100_000] = bytes(100_000)
    place.write_bytes(content)
    with pytest.raises(FileAccessError, match="Corrupt snappy compressed data"):
        score(place)
    assert [file.read_bytes() for file in files] == before
    assert {path for path in (tmp_path / "out").rglob("*") if path.is_file()} == set(files)


def test_progress_is_told(
    march: Path, tmp_path: Path, onnx_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(force_terminal=True, width=100)
    score_place(Wish(str(march), str(tmp_path), model=str(onnx_folder)), console)
    assert "rows/s" in capsys.readouterr().out
