"""`python -m jobs beam` as it is typed."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobs.commands.beam import command
from jobs.trips.months import parse_month
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
        write_month(parse_month(month), folder / f"{month}.parquet", 3000)
    return folder


def beam(*arguments: object, **environment: str) -> Result:
    names = ("MODEL_BUCKET", "MODEL_URI", "MLFLOW_TRACKING_URI", "PREDICTIONS_TOPIC", "DEAD_LETTER_TOPIC")
    cleared = dict.fromkeys(names) | environment
    return CliRunner(env=cleared).invoke(command, [str(argument) for argument in arguments])


def test_it_prints_counts_reasons_and_files(months: Path, tmp_path: Path, onnx_folder: Path) -> None:
    trips = months / "{year}-{month:02d}.parquet"
    arguments = ("--trips", trips, "--output", tmp_path, "--year", 2021, "--month", 2, "--month", 3)
    result = beam(*arguments, "--taxi", "green", "--direct_num_workers=1", MODEL_URI=str(onnx_folder))
    assert result.exit_code == 0, result.output
    output = " ".join(result.output.split())
    assert "6,000 rows by onnx version onnx in" in output
    assert "longer than 60 minutes" in output
    assert output.count("onnx-00000-of-00001.parquet") == 4
    assert f"predictions: {tmp_path}/taxi_type=green/year=2021/month=02/onnx-00000-of-00001.parquet" in output


def test_a_pattern_matches_files(months: Path, tmp_path: Path, onnx_folder: Path) -> None:
    arguments = ("--trips", months / "*.parquet", "--output", tmp_path, "--model", onnx_folder)
    assert beam(*arguments, "--direct_num_workers=1").exit_code == 0
    assert len(list(tmp_path.glob("taxi_type=green/*/*/*.parquet"))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--trips and --output must be given"),
        (["--trips", "a.parquet"], "--output must be given"),
        (["--trips", "none-*.parquet", "--output", "out"], "none-*.parquet matches no file"),
        (["--trips", "a.parquet", "--output", "out", "--month", "3"], "give --year and --month together"),
        (
            ["--trips", "a.parquet", "--output", "out", "--year", "1", "--month", "2", "--month", "3"],
            "a.parquet is the same for all months",
        ),
        (["--trips", "a.parquet", "--output", "out", "--events", "s"], "--events requires --streaming"),
        (["--trips", "a.parquet", "--output", "out"], "a.parquet does not exist"),
        (["--trips", "README.md", "--output", "out"], "no model given"),
        (["--trips", "README.md", "--output", "out", "--model", "nowhere"], "nowhere/MLmodel cannot be read"),
        (["--trips", "a.parquet", "--output", "out", "--worker=2"], "has an option --worker=2"),
        (
            ["--streaming", "--taxi", "green", "--output", "out"],
            "--output and --taxi cannot be combined with --streaming",
        ),
        (["--streaming"], "--events and --predictions and --dead-letters must be given"),
        (["--streaming", *STREAM, "--events=topic"], "'topic' must look like projects/PROJECT/subscriptions"),
    ],
)
def test_errors_are_sentences(arguments: list[str], message: str) -> None:
    expanded = [part for word in arguments for part in ((word, STREAM[word]) if word in STREAM else (word,))]
    result = beam(*expanded)
    assert result.exit_code
    assert message in result.output
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit)


def test_dataflow_refuses_local_files(months: Path, onnx_folder: Path) -> None:
    dataflow = ("--runner=DataflowRunner", "--project=my-project", "--region=us-east1")
    more = ("--temp_location=gs://my-bucket/temp", "--sdk_container_image=image")
    arguments = ("--trips", months / "2021-03.parquet", "--output", "gs://b/out", "--model", onnx_folder)
    result = beam(*arguments, *dataflow, *more)
    assert f"the runner's machines cannot access {onnx_folder}, {months}/2021-03.parquet" in result.output
    stream = [word for pair in STREAM.items() for word in pair]
    result = beam("--streaming", *stream, "--model", onnx_folder, *dataflow, *more)
    assert f"the runner's machines cannot access {onnx_folder}: give gs://" in result.output
