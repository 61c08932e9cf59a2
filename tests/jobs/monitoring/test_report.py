"""The whole of `python -m jobs report`, on real months and on generated ones."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow.tracking import MlflowClient
from rich.console import Console

from jobs.commands.promote import command as promote
from jobs.commands.report import command
from jobs.commands.score import command as score
from jobs.commands.train import command as train_command
from jobs.monitoring.report import ReportRequest, make_report
from jobs.monitoring.thresholds import Thresholds
from tests.jobs.monitoring.conftest import SHIFTS, rewrite

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
QUIET = Console(quiet=True)


def failed_checks(output: str) -> set[str]:
    return set(re.findall(r"✗ (\S+) \d", output))


@pytest.fixture(params=["real_months", "synthetic"])
def months(request: pytest.FixtureRequest) -> dict[str, Path]:
    found: dict[str, Path] = request.getfixturevalue(request.param)
    return found


def test_the_next_month_is_within_limits(months, report) -> None:
    result = report("--trips", months["2021-03"], "--reference", months["2021-02"])
    assert result.exit_code == 0, result.output
    assert "✓ all 13 checks are within their limits" in result.output
    assert f"{months['2021-03'].name} compared with {months['2021-02'].name}" in result.output


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shifted_month_is_flagged_and_the_feature_named(shift, months, report, tmp_path) -> None:
    change, expected = SHIFTS[shift]
    trips = rewrite(months["2021-03"], tmp_path, change)
    result = report("--trips", trips, "--reference", months["2021-02"])
    assert result.exit_code == 3, result.output
    first = result.output.splitlines()[1]
    assert first.startswith("✗ ")
    assert re.search(r"[\d.]+( minutes)? \(limit [\d.]+\)", first)
    assert expected <= failed_checks(result.output)


def test_the_halves_of_a_month_are_the_same(months, report, tmp_path) -> None:
    halves = []
    for half in range(2):
        (tmp_path / str(half)).mkdir()
        every_other = np.random.default_rng(1).permutation(len(pd.read_parquet(months["2021-03"])))[half::2]
        halves.append(
            rewrite(months["2021-03"], tmp_path / str(half), lambda trips, rows=every_other: trips.iloc[rows])
        )
    result = report("--trips", halves[0], "--reference", halves[1])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("seed", range(3))
def test_a_day_of_a_few_hundred_rides_raises_no_alarm(seed, months, report, tmp_path) -> None:
    def some_of_a_day(trips: pd.DataFrame) -> pd.DataFrame:
        day = trips[trips.lpep_pickup_datetime.dt.date == pd.Timestamp(2021, 3, 10 + 3 * seed).date()]
        return day.sample(300, random_state=seed)

    result = report(
        "--trips", rewrite(months["2021-03"], tmp_path, some_of_a_day), "--reference", months["2021-02"]
    )
    assert result.exit_code == 0, result.output
    assert "in the same hours of the week" in result.output


def test_too_few_rides_are_not_checked_and_get_no_tick(synthetic, report, tmp_path) -> None:
    trips = rewrite(synthetic["2021-03"], tmp_path, lambda trips: trips.head(60))
    result = report("--trips", trips, "--reference", synthetic["2021-02"])
    assert result.exit_code == 0, result.output
    assert " rides, 100 needed" in result.output
    assert re.search(r"– nothing could be checked: 5\d rides compared with [\d,]+, and each", result.output)
    assert "Report on more rides: whole months, or a longer part of the stream" in result.output
    assert "✓" not in result.output


@pytest.mark.parametrize(
    ("share", "warning"),
    [
        (1.0, "These rides are those that the model learned from"),
        (0.5, "rides are those that the model learned from"),
    ],
)
def test_the_rides_that_the_model_learned_from_get_no_tick(
    share, warning, synthetic, report, tmp_path
) -> None:
    january = pd.read_parquet(synthetic["2021-01"])
    march = pd.read_parquet(synthetic["2021-03"])
    rows = int(share * len(january))
    mixed = tmp_path / "another_name.parquet"
    pd.concat([january.head(rows), march.tail(len(january) - rows)]).to_parquet(mixed)
    page = tmp_path / "report.html"
    result = report("--trips", mixed, "--reference", synthetic["2021-01"], "--page", page)
    assert warning in result.output
    assert "✓" not in result.output
    assert 'unknown"><strong>' in page.read_text() or result.exit_code == 3
    assert warning in page.read_text()


@pytest.fixture(scope="module")
def trained(synthetic, tmp_path_factory) -> dict[str, str]:
    """Environment with a champion trained on January."""
    folder = tmp_path_factory.mktemp("trained")
    environment = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "MODEL_BUCKET": str(folder / "bucket"),
    }
    runner = CliRunner(env=environment)
    for step, args in (
        (train_command, ["--trips", str(synthetic["2021-01"]), "--trees", "20"]),
        (promote, []),
    ):
        result = runner.invoke(step, args)
        assert result.exit_code == 0, result.output
    return environment


def test_the_champion_its_months_and_its_errors_are_found_in_mlflow(trained, synthetic, tmp_path) -> None:
    page = tmp_path / "report.html"
    result = CliRunner(env=trained).invoke(
        command, ["--trips", str(synthetic["2021-03"]), "--page", str(page), "--limit", "psi=0.3"]
    )
    assert result.exit_code == 0, result.output
    assert f"{synthetic['2021-03'].name} compared with {synthetic['2021-01'].name}" in result.output
    client = MlflowClient(trained["MLFLOW_TRACKING_URI"], registry_uri=trained["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("ride-duration-monitoring")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id in result.output
    assert run.info.run_name == "green 2021-03"
    assert run.data.tags["mlflow.note.content"].startswith("all 13 checks are within their limits")
    assert "`report.html`" in experiment.tags["mlflow.note.content"]
    assert run.data.metrics["coverage/rides_of_the_reference"] == 0
    training = client.get_run(client.get_model_version("ride-duration", "1").run_id).data.metrics
    shown = re.search(r"RMSE ([\d.]+) min \(limit ([\d.]+)\)", result.output)
    assert float(shown[1]) == pytest.approx(run.data.metrics["rmse"], abs=0.0051)
    assert float(shown[2]) == pytest.approx(1.25 * training["rmse"], rel=0.05)
    expected = {"drift/psi/trip_distance", "drift/moved/trip_distance", "rmse_by_hour/08", "bias", "rejected"}
    assert expected <= set(run.data.metrics)
    assert run.data.metrics["rmse_by_version/1"] == run.data.metrics["rmse"]
    assert run.data.params["reference"] == synthetic["2021-01"].name
    assert run.data.params["limit_psi"] == "0.3"
    assert run.data.params["model_versions"] == "1"
    assert run.data.tags["exceeded"] == ""
    logged = Path(run.info.artifact_uri.removeprefix("file://")) / "report.html"
    assert logged.read_bytes() == page.read_bytes()


@pytest.mark.parametrize(
    "written", [b"{", b"[]", b'{"trips": {"places": 7}}', b'{"trips": {}}'], ids=["cut", "list", "7", "none"]
)
def test_a_run_that_names_its_months_differently_needs_a_reference(
    written, trained, synthetic, monkeypatch
) -> None:
    def download(*_args: object, dst_path: str, **_options: object) -> str:
        (Path(dst_path) / "cleaning.json").write_bytes(written)
        return f"{dst_path}/cleaning.json"

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download)
    result = CliRunner(env=trained).invoke(command, ["--trips", str(synthetic["2021-03"])])
    assert result.exit_code == 1
    assert "no training run names the months that the model was trained on: give --reference" in result.output


def test_a_training_month_that_has_gone_is_named_with_its_origin(trained, synthetic, tmp_path) -> None:
    january = synthetic["2021-01"]
    january.rename(tmp_path / january.name)
    try:
        result = CliRunner(env=trained).invoke(command, ["--trips", str(synthetic["2021-03"])])
    finally:
        (tmp_path / january.name).rename(january)
    assert result.exit_code == 1
    assert f"{january} does not exist" in result.output
    assert "The model's training run names this file: give --reference if it is elsewhere" in result.output


def test_predictions_of_several_versions_that_score_wrote(
    synthetic, report, onnx_folder, other_onnx_folder, tmp_path
) -> None:
    out = tmp_path / "out"
    for model in (onnx_folder, other_onnx_folder):
        args = ["--trips", synthetic["2021-03"], "--output", out, "--model", model]
        assert CliRunner().invoke(score, [str(arg) for arg in args]).exit_code == 0
    result = report(
        *("--trips", synthetic["2021-03"], "--reference", synthetic["2021-02"], "--predictions", out)
    )
    versions = re.search(r"version  (.*)", result.output)[1]
    reported = {name: float(rmse) for name, rmse in re.findall(r"(\S+): ([\d.]+) \(", versions)}
    files = {path.stem: pd.read_parquet(path, partitioning=None) for path in out.glob("taxi_type=*/*/*/*")}
    assert reported == {
        frame.model_version[0]: pytest.approx((frame["diff"] ** 2).mean() ** 0.5, abs=0.0051)
        for frame in files.values()
    }
    assert len(reported) == 2

    result = report(
        *("--trips", synthetic["2021-02"], "--reference", synthetic["2021-03"], "--predictions", out)
    )
    assert result.exit_code == 1
    assert "holds no predictions for these rides" in result.output
    other = rewrite(synthetic["2021-03"], tmp_path, lambda trips: trips.iloc[::-1])
    result = report("--trips", other, "--reference", synthetic["2021-02"], "--predictions", out)
    assert result.exit_code == 1
    assert "do not belong to" in result.output


def test_rides_that_have_not_ended_have_drift_but_no_error(synthetic, report, tmp_path) -> None:
    march = synthetic["2021-03"]
    running = rewrite(march, tmp_path, lambda trips: trips.drop(columns="lpep_dropoff_datetime"))
    page = tmp_path / "report.html"
    result = report("--trips", running, "--reference", synthetic["2021-02"], "--page", page)
    assert result.exit_code == 0, result.output
    assert "error      unknown: no ride has both a prediction and an actual duration" in result.output
    assert re.search(r"actual_duration +– +0 rides, 100 needed", result.output)
    assert "Unknown: no ride has both a prediction and an actual duration." in page.read_text()


def test_a_csv_file_gives_the_report_of_parquet(synthetic, report, onnx_folder, tmp_path) -> None:
    copy = tmp_path / "green_tripdata_2021-03.csv.gz"
    pd.read_parquet(synthetic["2021-03"]).to_csv(copy, index=False)
    out = tmp_path / "out"
    args = ["--trips", str(copy), "--output", str(out), "--model", str(onnx_folder)]
    assert CliRunner().invoke(score, args).exit_code == 0
    reports = [
        report("--trips", trips, "--reference", synthetic["2021-02"], *more).output.replace(copy.name, "X")
        for trips, more in ((synthetic["2021-03"], ()), (copy, ()), (copy, ("--predictions", out)))
    ]
    assert "RMSE" in reports[0]
    assert reports[0].replace(synthetic["2021-03"].name, "X") == reports[1] == reports[2]


def test_the_page_is_self_contained_and_runs_no_script(synthetic, report, tmp_path) -> None:
    odd = tmp_path / "<b>green_tripdata_2021-03.parquet"
    odd.write_bytes(synthetic["2021-03"].read_bytes())
    page = tmp_path / "report.html"
    report("--trips", odd, "--reference", synthetic["2021-02"], "--page", page)
    html = page.read_text()
    assert "&lt;b&gt;green" in html
    assert "<b>green" not in html
    assert "<script" not in html
    assert set(re.findall(r"https?://[^\s\"')]+", html)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    pictures = re.findall(r'<svg [^>]*role="img" aria-label="[^"]{20,}"', html)
    assert len(pictures) == html.count("<svg") == 10
    assert "<title>Within limits: " in html
    assert len(html) < 400_000


def test_it_fits_on_one_screen(synthetic, tmp_path, onnx_folder) -> None:
    trips = rewrite(
        synthetic["2021-03"], tmp_path, lambda trips: SHIFTS["durations"][0](SHIFTS["hours"][0](trips))
    )
    console = Console(record=True, width=80, force_terminal=True, file=io.StringIO())
    uris, page = ((str(trips),), (str(synthetic["2021-02"]),)), str(tmp_path / "p.html")
    request = ReportRequest(*uris, model=str(onnx_folder), page=page)
    findings = make_report(request, console, {})
    lines = console.export_text().splitlines()
    assert len(lines) < 24, lines
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].startswith(f"✗ {findings.failed_checks[0].name} ")


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ([], 2, "give --trips or --stream"),
        (["--trips", "{march}", "--stream", "s.duckdb"], 2, "give --trips or --stream"),
        (["--trips", "{march}"], 1, "no training run names the months"),
        (["--trips", "nowhere.parquet", "--reference", "{march}"], 1, "nowhere.parquet does not exist"),
        (
            ["--trips", "{march}", "--reference", "{march}", "--limit", "psi"],
            1,
            "psi is not a valid limit: write NAME=NUMBER",
        ),
        (["--trips", "{march}", "--since", "1w"], 2, "1w is not a duration"),
        (["--stream", "nowhere.duckdb", "--reference", "{march}"], 1, "nowhere.duckdb does not exist"),
        (
            ["--trips", "{march}", "--reference", "{march}", "--page", "{march}/page.html"],
            1,
            "page.html cannot be used (File exists)",
        ),
    ],
)
def test_errors_say_what_to_do(args, code, message, synthetic, report) -> None:
    result = report(*(arg.format(march=synthetic["2021-03"]) for arg in args))
    assert result.exit_code == code
    assert message in " ".join(result.output.split())


def test_a_caller_can_set_its_own_thresholds(synthetic, onnx_folder) -> None:
    uris = ((str(synthetic["2021-03"]),), (str(synthetic["2021-02"]),))
    thresholds = Thresholds(psi=0, rmse_factor=0.1)
    request = ReportRequest(*uris, model=str(onnx_folder), thresholds=thresholds)
    failed = make_report(request, QUIET, {}).failed_checks
    assert "rmse" in {check.name for check in failed}
    assert failed == sorted(failed, key=lambda check: check.limit / check.value)
