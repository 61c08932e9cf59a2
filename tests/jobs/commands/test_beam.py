"""`python -m jobs beam` as it is typed."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobs.commands.beam import command
from jobs.trips.months import month_of
from jobs.trips.synthetic import write_month

STREAM = {
    "--events": "projects/p/subscriptions/s",
    "--predictions": "projects/p/topics/t",
    "--dead-letters": "projects/p/topics/d",
}


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("months")
    for month in ("2021-02", "2021-03"):
        write_month(month_of(month), folder / f"{month}.parquet", 3000)
    return folder


def beam(*words: object, **environment: str) -> Result:
    names = ("MODEL_BUCKET", "MODEL_URI", "MLFLOW_TRACKING_URI", "PREDICTIONS_TOPIC", "DEAD_LETTER_TOPIC")
    cleared = dict.fromkeys(names) | environment
    return CliRunner(env=cleared).invoke(command, [str(word) for word in words])


def test_it_ends_with_counts_reasons_and_places(months: Path, tmp_path: Path, onnx_folder: Path) -> None:
    trips = months / "{year}-{month:02d}.parquet"
    words = ("--trips", trips, "--output", tmp_path, "--year", 2021, "--month", 2, "--month", 3)
    result = beam(*words, "--taxi", "green", "--direct_num_workers=1", MODEL_URI=str(onnx_folder))
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "6,000 rows by onnx version onnx in" in said
    assert "longer than 60 minutes" in said
    assert said.count("onnx-00000-of-00001.parquet") == 4
    assert f"predictions: {tmp_path}/taxi_type=green/year=2021/month=02/onnx-00000-of-00001.parquet" in said


def test_a_pattern_names_files(months: Path, tmp_path: Path, onnx_folder: Path) -> None:
    words = ("--trips", months / "*.parquet", "--output", tmp_path, "--model", onnx_folder)
    assert beam(*words, "--direct_num_workers=1").exit_code == 0
    assert len(list(tmp_path.glob("taxi_type=green/*/*/*.parquet"))) == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "--trips and --output must be given"),
        (["--trips", "a.parquet"], "--output must be given"),
        (["--trips", "none-*.parquet", "--output", "out"], "none-*.parquet matches no file"),
        (["--trips", "a.parquet", "--output", "out", "--month", "3"], "give --year and --month together"),
        (
            ["--trips", "a.parquet", "--output", "out", "--year", "1", "--month", "2", "--month", "3"],
            "a.parquet is of one month",
        ),
        (["--trips", "a.parquet", "--output", "out", "--events", "s"], "give --streaming, too"),
        (["--trips", "a.parquet", "--output", "out"], "which model?"),
        (["--trips", "a.parquet", "--output", "out", "--model", "nowhere"], "nowhere/MLmodel cannot be read"),
        (["--trips", "a.parquet", "--output", "out", "--worker=2"], "has an option --worker=2"),
        (["--streaming", "--taxi", "green", "--output", "out"], "--output and --taxi are for months"),
        (["--streaming"], "--events and --predictions and --dead-letters must be given"),
        (["--streaming", *STREAM, "--events=topic"], "'topic' must look like projects/PROJECT/subscriptions"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(words: list[str], sentence: str) -> None:
    given = [word for each in words for word in ((each, STREAM[each]) if each in STREAM else (each,))]
    result = beam(*given)
    assert result.exit_code
    assert sentence in result.output
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit)


def test_dataflow_sees_no_files_of_this_machine(months: Path, onnx_folder: Path) -> None:
    dataflow = ("--runner=DataflowRunner", "--project=my-project", "--region=us-east1")
    more = ("--temp_location=gs://my-bucket/temp", "--sdk_container_image=image")
    words = ("--trips", months / "2021-03.parquet", "--output", "gs://b/out", "--model", onnx_folder)
    result = beam(*words, *dataflow, *more)
    assert f"the runner's machines do not see {onnx_folder}, {months}/2021-03.parquet" in result.output
    stream = [word for pair in STREAM.items() for word in pair]
    result = beam("--streaming", *stream, "--model", onnx_folder, *dataflow, *more)
    assert f"the runner's machines do not see {onnx_folder}: give gs://" in result.output
