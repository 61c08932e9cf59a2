"""The churn example: the commands of its README, then the same on an MLflow server and a bucket."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from mlflow.tracking import MlflowClient
from rich.console import Console
from sklearn.metrics import roc_auc_score

from examples.churn import customers as customers_module
from examples.churn import train as train_module
from examples.churn.model import COLUMNS, model_frame
from jobs.commands import score
from jobs.local.emulators import BUCKET
from jobs.local.processes import ProcessGroup
from jobs.scoring.database import open_database
from jobs.scoring.job import ScoringRequest, run_scoring
from jobs.settings import Settings
from jobs.storage.files import exists, open_read
from tests.blocks import ROOT, Block, blocks_of, checkout, paste, runnable, script_of

README = "examples/churn/README.md"
DEPLOYMENT = "http://127.0.0.1:4200/api/deployments/name/churn/monthly"
RUNS = "http://127.0.0.1:4200/api/flow_runs/filter"
FINISHED = json.dumps({"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
QUERY_PREFECT = f"""
curl -sf --retry 60 --retry-all-errors --retry-delay 1 {DEPLOYMENT}
curl -sf --header content-type:application/json --data '{FINISHED}' {RUNS}
"""
"""Queries Prefect for the deployment and its runs, after the flow has been scheduled."""
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
TOLERANCE = 0.02
"""Relative tolerance of a number in the README."""

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


class Example:
    """A checkout in which the commands of the README were run."""

    def __init__(self, folder: Path, printed: str) -> None:
        self.folder = folder
        self.printed = printed
        self.environment = {
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / '.cache' / 'mlflow.db'}",
            "MODEL_BUCKET": str(folder / ".cache" / "models"),
        }
        self.pointer = folder / ".cache" / "models" / "releases" / "churn" / "champion.json"
        self.customers = folder / ".cache" / "customers_2026-11.parquet"
        output = folder / ".cache" / "predictions"
        (self.predictions,) = output.glob("input=*/*.parquet")
        self.rejected = output / "rejected" / self.predictions.relative_to(output)

    @property
    def client(self) -> MlflowClient:
        uri = self.environment["MLFLOW_TRACKING_URI"]
        return MlflowClient(uri, registry_uri=uri)

    def score(self, customers: Path, model: str, output: Path) -> Result:
        options = ["--trips", str(customers), "--model", model, "--output", str(output)]
        return CliRunner(env=self.environment).invoke(score.command, options)


@pytest.fixture(scope="module")
def example(
    programs: ProcessGroup, plain_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Example:
    folder = checkout(tmp_path_factory.mktemp("churn"))
    *blocks, stop = runnable(README)
    script = script_of([*blocks, Block("sh", QUERY_PREFECT), stop])
    return Example(folder, paste(programs, script, folder, plain_environment))


def test_it_prints_what_the_readme_shows(example: Example) -> None:
    shown = "".join(block.text for block in blocks_of(README) if block.kind == "text")
    printed = [_split_numbers(line) for line in example.printed.splitlines()]
    assert len(shown.splitlines()) > 10
    for line in shown.splitlines():
        text, numbers = _split_numbers(line)
        found = [others for same, others in printed if same == text]
        assert any(numbers == pytest.approx(others, rel=TOLERANCE) for others in found), (line, found)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("AUC 0.791, log loss 0.466", "AUC 0.782, log loss 0.459", True),
        ("AUC 0.791, log loss 0.466", "AUC 0.771, log loss 0.466", False),
        ("19,921 predicted", "20,921 predicted", False),
        ("79 rejected", "  79   rejected", True),
        ("79 rejected", "79 predicted", False),
        ("by churn version 1 in 0.5 s (39,876/s)", "by churn version 1 in 9.1 s (2,197/s)", True),
        ("by churn version 1 in 0.5 s (39,876/s)", "by churn version 2 in 0.5 s (39,876/s)", False),
        (f"x/{'a1' * 16}-v1.parquet", f"x/{'0b' * 16}-v1.parquet", True),
        ("202611-013759   Yonkers   49", "202611-000957   Yonkers   49", True),
    ],
)
def test_matching_of_lines(shown: str, printed: str, same: bool) -> None:
    (text, numbers), (other_text, other_numbers) = _split_numbers(shown), _split_numbers(printed)
    assert (text == other_text and numbers == pytest.approx(other_numbers, rel=TOLERANCE)) == same


def _split_numbers(line: str) -> tuple[str, list[float]]:
    """Splits a line into text, without what changes in each run, and numbers, which vary between machines."""
    line = re.sub(r"\b[\da-f]{32}(-v\d+)?\b|\b\d{6}-\d{6}\b|\b[\d,.]+( s\b|/s\b)", "#", line)
    numbers = [float(number.replace(",", "")) for number in NUMBER.findall(line)]
    return " ".join(NUMBER.sub("#", line).split()), numbers


def test_the_model_is_better_than_chance(example: Example) -> None:
    version = example.client.get_model_version_by_alias("churn", "champion")
    run = example.client.get_run(version.run_id or "").data
    assert run.params["held_out"] == str(int(model_frame(generated(outcome=True)).shape[0] * 0.2))
    assert run.metrics["auc"] > 0.77
    assert run.metrics["log_loss"] < 0.5
    assert run.metrics["onnx_max_difference"] < 1e-5
    assert version.tags["auc"] == f"{run.metrics['auc']:.4f}"
    assert run.tags["mlflow.runName"] == "20,000 customers → churn"
    assert version.description == "Trained on 20,000 customers."


def test_the_output_has_the_probabilities_of_the_pipeline(example: Example) -> None:
    scored = pq.read_table(example.predictions)
    assert scored.column_names[-2:] == ["predicted_churn", "model_version"]
    frame = scored.to_pandas()
    assert set(frame["model_version"]) == {"1"}
    run_id = example.client.get_model_version_by_alias("churn", "champion").run_id
    mlflow.set_tracking_uri(example.environment["MLFLOW_TRACKING_URI"])
    pipeline = mlflow.sklearn.load_model(f"runs:/{run_id}/sklearn")
    expected = pipeline.predict_proba(frame[list(COLUMNS)])[:, 1]
    np.testing.assert_allclose(frame["predicted_churn"], expected, atol=1e-5, rtol=0)
    assert frame["mean_rating"].isna().mean() > 0.1


def test_churn_is_predicted_in_a_later_month(example: Example) -> None:
    scored = pd.read_parquet(example.predictions).set_index("customer_id")
    left = generated(date(2026, 11, 1), outcome=True).set_index("customer_id")["churned"]
    assert roc_auc_score(left[scored.index], scored["predicted_churn"]) > 0.77


def test_every_customer_is_predicted_or_rejected_with_a_reason(example: Example) -> None:
    customers = pd.read_parquet(example.customers)
    predicted, rejected = pd.read_parquet(example.predictions), pd.read_parquet(example.rejected)
    pd.testing.assert_frame_equal(
        pd.concat([predicted[customers.columns], rejected[customers.columns]])
        .sort_values("customer_id")
        .reset_index(drop=True),
        customers,
    )
    assert dict(rejected["reason"].value_counts()) == {
        "city is missing": customers["city"].isna().sum(),
        "rides_last_month is missing or not a number": (
            customers["rides_last_month"].isna() & customers["city"].notna()
        ).sum(),
    }
    assert len(rejected) > 10


def test_release_and_folder_predict_the_same_as_the_registry(example: Example, tmp_path: Path) -> None:
    expected = pq.read_table(example.predictions)
    location = json.loads(example.pointer.read_text())["location"]
    for model in (str(example.pointer), location, "models:/churn/1"):
        result = example.score(example.customers, model, tmp_path / "again.parquet")
        assert result.exit_code == 0, result.output
        again = pq.read_table(tmp_path / "again.parquet")
        assert again.drop(["model_version"]).equals(expected.drop(["model_version"]))


def test_a_missing_column_is_reported(example: Example, tmp_path: Path) -> None:
    table = pq.read_table(example.customers).drop(["plan", "complaints"])
    pq.write_table(table, tmp_path / "less.parquet")
    result = example.score(tmp_path / "less.parquet", "models:/churn@champion", tmp_path / "out")
    assert result.exit_code == 1
    assert result.output == (
        f"Error: {tmp_path / 'less.parquet'} has no column plan, complaints, which churn version 1 takes\n"
    )
    assert not (tmp_path / "out").exists()


def test_scored_tables_are_not_scored_again(example: Example, tmp_path: Path) -> None:
    result = example.score(example.predictions, "models:/churn@champion", tmp_path / "out")
    assert result.exit_code == 1
    assert "already has a column predicted_churn and model_version, which scoring adds" in result.output


def test_offers_go_to_customers_who_opted_in_and_may_leave(example: Example) -> None:
    offers = query_offers(example.folder / ".cache")
    predicted = pd.read_parquet(example.predictions)
    expected = predicted[predicted["opted_in_to_mail"] & (predicted["predicted_churn"] > 0.5)]
    assert 100 < len(offers) < len(predicted) / 5
    assert set(offers["customer_id"]) == set(expected["customer_id"])
    assert offers["customer_id"].is_unique
    assert offers["rides_previous_month"].is_monotonic_decreasing


def test_the_newest_model_and_month_decide(tmp_path: Path) -> None:
    def write(month: str, version: str, **churn: float) -> None:
        file = tmp_path / "predictions" / f"input=customers_{month}" / f"run{version}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        shared = {"city": "Newark", "plan": "business", "rides_last_month": 1, "rides_previous_month": 2}
        frame = pd.DataFrame({"customer_id": churn.keys(), "predicted_churn": churn.values()})
        frame.assign(**shared, opted_in_to_mail=True, model_version=version).to_parquet(file)

    write("2026-10", "11", gone_by_now=0.9)
    write("2026-11", "9", calmed=0.9, alarmed=0.1, left_out=0.8)
    write("2026-11", "10", calmed=0.1, alarmed=0.9)
    write("2026-11", "m-1f2e", calmed=0.8, alarmed=0.2)
    assert query_offers(tmp_path)["customer_id"].tolist() == ["alarmed", "left_out"]


def test_prefect_has_run_the_flow_and_has_the_schedule(example: Example) -> None:
    deployment, runs = (
        json.loads(line) for line in example.printed.splitlines() if line.startswith(("{", "["))
    )
    (schedule,) = deployment["schedules"]
    assert (schedule["schedule"]["cron"], schedule["active"], deployment["paused"]) == (
        "0 5 2 * *",
        True,
        False,
    )
    (run,) = runs
    assert run["parameters"]["run_date"] == "2026-12-02"
    assert run["name"] == "customers 2026-11"
    assert example.predictions.stat().st_mtime > pd.Timestamp(run["start_time"]).timestamp()


def test_a_table_without_the_label_is_refused(example: Example) -> None:
    runner = CliRunner(env=example.environment)
    result = runner.invoke(train_module.command, ["--customers", str(example.customers)])
    assert result.exit_code == 1
    assert "has no column churned: generate it with `python -m examples.churn.customers" in result.output


def test_too_few_customers_are_refused(example: Example, tmp_path: Path) -> None:
    generated(outcome=True, rows=200).assign(churned=False).to_parquet(tmp_path / "few.parquet")
    runner = CliRunner(env=example.environment)
    result = runner.invoke(train_module.command, ["--customers", str(tmp_path / "few.parquet")])
    assert result.exit_code == 1
    assert result.output.startswith("Error: 0 customers left and ")
    assert " stayed, but 100 of each are needed: give a larger table" in result.output


def test_a_version_that_differs_from_its_pipeline_does_not_become_champion(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generated(outcome=True, rows=2000).to_parquet(tmp_path / "customers.parquet")
    pointer = example.pointer.read_bytes()
    monkeypatch.setattr(train_module, "MAX_DIFFERENCE", 0.0)
    options = ["--customers", str(tmp_path / "customers.parquet")]
    result = CliRunner(env=example.environment).invoke(train_module.command, options)
    assert result.exit_code == 1
    assert "churn version 2 differs from its pipeline by up to 0.0000" in result.output
    assert example.client.get_registered_model("churn").aliases == {"champion": 1}
    assert example.pointer.read_bytes() == pointer


def test_an_mlflow_server_and_a_bucket_work_too(
    monkeypatch: pytest.MonkeyPatch, storage: str, mlflow_server: str
) -> None:
    bucket = f"gs://{BUCKET}/churn"
    settings = {
        "STORAGE_EMULATOR_HOST": storage,
        "MLFLOW_TRACKING_URI": mlflow_server,
        "MODEL_BUCKET": bucket,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    train_module.train(Settings.read(), generated(outcome=True, rows=2000), 1.0)
    customers = f"{bucket}/customers_2026-11.parquet"
    options = ["--month", "2026-11", "--customers", "1000", "--output", customers]
    written = CliRunner().invoke(customers_module.command, options)
    assert written.exit_code == 0, written.output
    for model in ("models:/churn@champion", f"{bucket}/releases/churn/champion.json"):
        result = run_scoring(ScoringRequest(customers, f"{bucket}/predictions", model), Console(quiet=True))
        assert result.stats.rows == 1000
        assert result.output.predictions.startswith(f"{bucket}/predictions/input=customers_2026-11/")
        assert exists(result.output.rejected)
        with open_read(result.output.predictions) as file:
            assert pq.read_table(file).num_rows == result.stats.predicted > 900


def test_ridecast_itself_knows_nothing_about_customers() -> None:
    code = [path for folder in ("jobs", "functions") for path in (ROOT / folder).rglob("*.py")]
    assert len(code) > 50
    assert not [path for path in code if re.search("churn|customers", path.read_text(), re.IGNORECASE)]


def generated(month: date = date(2026, 8, 1), **how: Any) -> pd.DataFrame:
    frame: pd.DataFrame = customers_module.generate_customers(month, **how).to_pandas()
    return frame


def query_offers(folder: Path) -> pd.DataFrame:
    """The result of offer.sql in a folder."""
    query = (ROOT / "examples" / "churn" / "offer.sql").read_text()
    with open_database(str(folder / "predictions")) as database:
        answer = database.query(query)
        return pd.DataFrame(answer.rows, columns=answer.columns)
