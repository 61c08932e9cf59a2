"""`python -m jobs score` as it is typed."""

import re
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from functions.rides import NEW_YORK
from jobs.commands.score import command, resolve_month
from jobs.trips.months import month_before
from jobs.trips.synthetic import write_month
from tests.jobs.scoring.conftest import write_trips
from tests.models import TARGET, save_onnx


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `2021-02.parquet` and `2021-03.parquet`, green."""
    folder = tmp_path_factory.mktemp("months")
    for month in (date(2021, 2, 1), date(2021, 3, 1)):
        write_month(month, folder / f"{month:%Y-%m}.parquet", 3000)
    return folder


def score(*arguments: object, **environment: str) -> Result:
    cleared = {"MODEL_BUCKET": None, "MLFLOW_TRACKING_URI": None, "ALLOW_PICKLE": None}
    return CliRunner(env=cleared | environment).invoke(command, [str(argument) for argument in arguments])


def test_it_prints_counts_means_errors_and_files(months: Path, tmp_path: Path, onnx_folder: Path) -> None:
    trips = months / "2021-03.parquet"
    result = score("--trips", trips, "--output", tmp_path, "--model", onnx_folder)
    assert result.exit_code == 0, result.output
    (file,) = tmp_path.glob("taxi_type=green/year=2021/month=03/*.parquet")
    (rejected,) = tmp_path.glob("rejected/taxi_type=green/year=2021/month=03/*.parquet")
    table, others = pd.read_parquet(file, partitioning=None), pd.read_parquet(rejected, partitioning=None)
    output = " ".join(result.output.split())
    assert "3,000 rows by onnx version onnx in" in output
    deviation = table.predicted_duration.std(ddof=0)
    mean = f"mean {table.predicted_duration.mean():.4f} minutes, standard deviation {deviation:.4f}"
    assert f"{len(table):,} predicted, {mean}" in output
    assert f"{len(table):,} with known duration: RMSE " in output
    assert f"{len(others):,} rejected" in output
    for reason, rows in others.reason.value_counts().items():
        assert f"{rows:,} {reason}" in output
    assert f"predictions: {file} rejected: {rejected}" in output


def test_the_homework_format(months: Path, tmp_path: Path, onnx_folder: Path) -> None:
    result = score(
        *("--year", 2021, "--month", 3, "--format", "homework", "--model", onnx_folder),
        INPUT_FILE_PATTERN=f"{months}/{{year:04d}}-{{month:02d}}.parquet",
        OUTPUT_FILE_PATTERN=f"{tmp_path}/predictions-{{year:04d}}-{{month:02d}}.parquet",
    )
    assert result.exit_code == 0, result.output
    table = pd.read_parquet(tmp_path / "predictions-2021-03.parquet")
    assert list(table.columns) == ["ride_id", "predicted_duration"]
    read = pd.read_parquet(months / "2021-03.parquet")
    minutes = (read.lpep_dropoff_datetime - read.lpep_pickup_datetime).dt.total_seconds() / 60
    predicted = read[(minutes >= 1) & (minutes <= 60)]
    assert table.ride_id.tolist() == [f"2021/03_{index}" for index in predicted.index]
    mean = re.search(r"^predicted mean duration: (.+)$", result.output, re.MULTILINE)
    assert mean
    assert float(mean[1]) == pytest.approx(table.predicted_duration.mean(), rel=1e-12)
    deviation = re.search(
        r"^standard deviation of the predicted duration: (.+)$", result.output, re.MULTILINE
    )
    assert deviation
    assert float(deviation[1]) == pytest.approx(np.std(table.predicted_duration), rel=1e-12)


def test_tlcs_own_file_names_fit_the_pattern(months: Path, tmp_path: Path, onnx_folder: Path) -> None:
    (tmp_path / "green_tripdata_2021-03.parquet").symlink_to(months / "2021-03.parquet")
    result = score(
        *("--year", 2021, "--month", 3, "--model", onnx_folder, "--output", tmp_path / "out"),
        INPUT_FILE_PATTERN=f"{tmp_path}/green_tripdata_{{year:04d}}-{{month:02d}}.parquet",
    )
    assert result.exit_code == 0, result.output


def test_a_scheduled_run_counts_months_back(tmp_path: Path, onnx_folder: Path) -> None:
    month = month_before(datetime.now(NEW_YORK).date(), 3)
    write_month(month, tmp_path / f"green_{month:%Y-%m}.parquet", 300)
    pattern = tmp_path / "{taxi_type}_{year:04d}-{month:02d}.parquet"
    result = score(
        *("--trips", pattern, "--taxi", "green", "--months-back", 3),
        *("--output", tmp_path / "out", "--model", onnx_folder),
    )
    assert result.exit_code == 0, result.output
    assert len(list(tmp_path.glob(f"out/taxi_type=green/year={month:%Y}/month={month:%m}/*.parquet"))) == 1


def test_resolve_month() -> None:
    assert resolve_month(None, None, 1, date(2021, 1, 2)) == date(2020, 12, 1)
    assert resolve_month(None, None, 3, date(2021, 12, 31)) == date(2021, 9, 1)
    assert resolve_month(None, None, 0, date(2021, 3, 1)) == date(2021, 3, 1)
    assert resolve_month(None, None, None, date(2021, 3, 1)) is None


def test_errors_are_sentences(months: Path, tmp_path: Path, onnx_folder: Path) -> None:
    trips, out, model = (
        ["--trips", months / "2021-03.parquet"],
        ["--output", tmp_path],
        ["--model", onnx_folder],
    )
    errors = {
        "give --model, or set MODEL_BUCKET": [*trips, *out],
        "--year and --month together": [*trips, *out, *model, "--year", 2021],
        "--months-back, or --year": [*trips, *out, *model, "--year", 2021, "--month", 3, "--months-back", 1],
        "absent.parquet does not exist": ["--trips", "absent.parquet", *out, *model],
        "MLmodel cannot be read": [*trips, *out, "--model", tmp_path / "no-model"],
        "needs --year and --month": ["--trips", "{year:04d}.parquet", *out, *model],
        "s3://bucket/file.parquet": [*trips, "--output", "s3://bucket/file.parquet", *model],
        "is not one of 'green', 'yellow', 'fhvhv', 'fhv'": [*trips, *out, *model, "--taxi", "blue"],
    }
    for message, arguments in errors.items():
        result = score(*arguments)
        assert result.exit_code in (1, 2), (message, result.output)
        assert message in result.output
        assert "Traceback" not in result.output
    assert not list(tmp_path.rglob("*.parquet"))


def test_the_models_unit_is_printed_without_markup(tmp_path: Path) -> None:
    model = save_onnx(tmp_path / "model", metadata=TARGET | {"unit": "[/b]"})
    path = write_trips(tmp_path / "2021-03.parquet")
    result = score("--trips", path, "--output", tmp_path / "out", "--model", model)
    assert result.exit_code == 0, result.output
    assert " [/b]\n" in result.output


def test_an_output_that_is_a_file(tmp_path: Path, onnx_folder: Path) -> None:
    path = write_trips(tmp_path / "yellow_tripdata_2021-03.parquet", prefix="tpep_", DOLocationID=[0])
    result = score("--trips", path, "--output", tmp_path / "new" / "p.parquet", "--model", onnx_folder)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["p.parquet", "p.rejected.parquet"]
    assert len(pd.read_parquet(tmp_path / "new" / "p.rejected.parquet")) == 1
