import importlib
import os
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from functions.errors import SettingsError
from functions.model import load_table_model
from functions.resolver import resolve
from jobs.commands.schedule import command
from jobs.flows.prefect_artifacts import ScoringReport, failed_row, link, slug, title_of
from jobs.registry.release_pointer import find_release
from jobs.scoring.job import ScoringRequest
from jobs.scoring.layout import OutputFiles, month_partition, output_files
from jobs.scoring.stats import ScoringStats
from jobs.storage.errors import FileAccessError
from tests.models import save_course_onnx

OUTPUT = OutputFiles(
    "gs://b/out/taxi_type=green/year=2021/month=03/r.parquet", "gs://b/out/rejected/r.parquet"
)


def report(stats: ScoringStats | None) -> ScoringReport:
    return ScoringReport("green 2021-03", "in.parquet", OUTPUT, "ride-duration", "7", " minutes", stats, 0.5)


def test_a_report_has_every_count_and_a_link() -> None:
    stats = ScoringStats(
        predicted=8000,
        rejected=Counter({"longer than 60 minutes": 1200, "shorter than 1 minute": 34}),
        repaired=Counter({"distance missing": 5}),
        prediction_sum=128_000.0,
        compared=8000,
        absolute_error_sum=16_000.0,
        squared_error_sum=72_000.0,
    )
    text = report(stats).markdown()
    for row in (
        "| model | ride-duration, version 7 |",
        "| rows | 9,234, 18,468 a second |",
        "| predicted | 8,000, mean 16.0000 minutes |",
        "| – with a distance missing | 5 |",
        "| – with a known actual value | 8,000, RMSE 3.0000, mean absolute error 2.0000 minutes |",
        "| rejected | 1,234 |",
        "| – longer than 60 minutes | 1,200 |",
        "| – shorter than 1 minute | 34 |",
        f"- predictions: [{OUTPUT.predictions}](https://console.cloud.google.com/storage/browser/"
        "b/out/taxi_type=green/year=2021/month=03)",
    ):
        assert row in text
    assert report(stats).key == "ride-duration-green-2021-03"
    assert "8,000 predicted (mean 16.0000 minutes, RMSE 3.0000), 1,234 rejected" in report(stats).summary()
    unknown = ScoringStats(predicted=10, prediction_sum=50.0)
    assert "RMSE" not in report(unknown).markdown() + report(unknown).summary()


def test_a_reason_may_hold_markdown_characters() -> None:
    rejected = Counter({"a|b is missing": 2, "c\\|d\ne is not a number": 1})
    rows = report(ScoringStats(rejected=rejected)).markdown().splitlines()
    assert r"| – a\|b is missing | 2 |" in rows
    assert r"| – c\\\|d e is not a number | 1 |" in rows


def test_signatures_of_web_addresses_are_redacted() -> None:
    signed = "https://storage/customers.parquet?sign=s3cr.et/x"
    assert link(signed) == "<https://storage/customers.parquet>"
    assert title_of(ScoringRequest(signed, "out")) == "customers"
    assert link("https://ann:s3cret@host/a@b.parquet") == "<https://host/a@b.parquet>"
    failed = failed_row("customers", FileAccessError(f"{signed} answered 403: check the address"))
    assert failed["predictions"] == "https://storage/customers.parquet answered 403: check the address"
    assert link("gs://b/what?/x.parquet").startswith("[gs://b/what?/x.parquet]")


def test_rows_of_a_backfill_have_the_same_columns() -> None:
    scored, before = report(ScoringStats(predicted=10, prediction_sum=50.0)).row(), report(None).row()
    failed = failed_row("green 2021-04", FileAccessError("in.parquet does not exist"))
    assert list(scored) == list(before) == list(failed)
    assert [row["state"] for row in (scored, before, failed)] == ["scored", "finished before", "failed"]
    assert failed["predictions"] == "in.parquet does not exist"
    assert "nan" not in str(scored)


def test_a_month_without_any_check_is_not_called_within_its_limits() -> None:
    from jobs.flows.retraining import RetrainingResult

    nothing = "nothing could be checked: 9 rides compared with 5,000, and each side needs 100"
    assert RetrainingResult("green 2021-03", (), unchecked=nothing).summary() == (
        f"green 2021-03: {nothing} – the champion stays"
    )
    assert RetrainingResult("green 2021-03", ()).summary() == (
        "green 2021-03 is within all limits – the champion stays"
    )
    assert RetrainingResult("green 2021-03", ("bias 5.8 minutes (limit 2.1)",), 3).summary() == (
        "green 2021-03 exceeds 1 limit: bias 5.8 minutes (limit 2.1) – version 3 is the champion"
    )


def test_names() -> None:
    march = ScoringRequest("in/x.parquet", "out", taxi="green", month=date(2021, 3, 1))
    assert title_of(march) == "green 2021-03"
    assert title_of(ScoringRequest("in/customers-2021-03.parquet", "out")) == "customers-2021-03"
    assert slug("Churn customers_2021 ") == "churn-customers-2021"
    assert link("https://tlc/x.parquet") == "<https://tlc/x.parquet>"
    assert link("out/x.parquet") == f"`{Path.cwd()}/out/x.parquet`"


def test_only_temporary_failures_are_retried() -> None:
    from prefect.states import Failed

    from jobs.flows.tasks import RETRY_DELAYS, score_file

    again = score_file.retry_condition_fn
    assert again
    assert again(score_file, None, Failed(data=FileAccessError("does not exist")))
    for model in ("", "models:/ride-duration@champion"):
        with pytest.raises(SettingsError) as missing:
            find_release(model, {})
        assert not again(score_file, None, Failed(data=missing.value))
    assert not again(score_file, None, Failed(data=TypeError("a bug")))
    assert list(RETRY_DELAYS) == sorted(RETRY_DELAYS)


def test_finished_months_are_found_without_loading_the_model(tmp_path: Path) -> None:
    from jobs.flows.tasks import find_completed

    model, month = save_course_onnx(tmp_path / "model"), date(2021, 3, 1)
    description = model / "MLmodel"
    description.write_text(description.read_text().replace("model_id: null", "model_id: m-1f2e"))
    release = load_table_model(resolve(str(model))).release
    request = ScoringRequest("in.parquet", str(tmp_path / "out"), str(model), "green", month)
    (model / "model.onnx").unlink()
    assert find_completed(request) is None
    output = output_files(request.output, month_partition("green", month), release)
    file = Path(output.predictions)
    file.parent.mkdir(parents=True)
    file.touch()
    assert find_completed(request) == ScoringReport("green 2021-03", "in.parquet", output, "model", "m-1f2e")


def test_a_single_file_cannot_be_the_output_of_months(tmp_path: Path) -> None:
    from jobs.flows.scoring import ride_duration_backfill, ride_duration_prediction
    from jobs.flows.tasks import find_completed

    file = tmp_path / "2021-03.parquet"
    file.touch()
    month, pattern = date(2021, 3, 1), str(tmp_path / "{year:04d}-{month:02d}.parquet")
    with pytest.raises(
        FileAccessError, match=r"2021-03\.parquet is a file, .*: give a folder, local or gs://"
    ):
        find_completed(ScoringRequest("in.parquet", str(file), taxi="green", month=month))
    with pytest.raises(FileAccessError, match="give a folder"):
        ride_duration_backfill.fn(first="2021-03", last="2021-03", output=pattern)
    with pytest.raises(FileAccessError, match="give a folder"):
        ride_duration_prediction.fn(run_date=date(2021, 4, 2), output=pattern)


def test_the_output_is_not_read_from_the_environment() -> None:
    result = CliRunner(env={"OUTPUT_FILE_PATTERN": "homework.parquet"}).invoke(command, [])
    assert result.exit_code == 2
    assert "Missing option '--output'" in result.output


def test_without_prefect_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("jobs.flows.scoring", "jobs.flows.tasks"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "prefect", None)
    result = CliRunner().invoke(command, ["--output=out"])
    assert result.exit_code == 1
    assert "pip install --group flows" in result.output


@pytest.mark.parametrize(
    ("address", "options", "says"),
    [
        ("", [], "PREFECT_API_URL is not set"),
        ("http://127.0.0.1:9/api", [], "no Prefect server answers at http://127.0.0.1:9/api"),
        ("", ["--cron=at night"], "write it like '0 3 2 * *'"),
        ("", ["--output=all.parquet"], "Invalid value for --output: all.parquet is a file"),
    ],
)
def test_errors_before_serving(address: str, options: list[str], says: str, tmp_path: Path) -> None:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(tmp_path)} | ({"PREFECT_API_URL": address} if address else {})
    arguments = [sys.executable, "-m", "jobs", "schedule", "--output=out", *options]
    ended = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode in {1, 2}
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("package", "variable", "off"),
    [
        ("jobs", "MLFLOW_DISABLE_TELEMETRY", "true"),
        ("jobs.flows", "DO_NOT_TRACK", "1"),
        ("examples.churn", "DO_NOT_TRACK", "1"),
    ],
)
def test_telemetry_is_sent_only_if_asked_for(
    monkeypatch: pytest.MonkeyPatch, package: str, variable: str, off: str
) -> None:
    """MLflow and Prefect read these variables when they are imported, which the packages are before them."""
    monkeypatch.delenv(variable, raising=False)
    module = importlib.reload(importlib.import_module(package))
    assert os.environ[variable] == off
    monkeypatch.setenv(variable, "0")
    importlib.reload(module)
    assert os.environ[variable] == "0"
