"""`python -m jobs train` end to end, on small synthetic months, with SQLite and a local folder."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow.artifacts
import mlflow.data
import numpy as np
import onnx
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from functions import __version__
from functions.features import ride_columns
from functions.model import load_model
from functions.resolver import resolve
from functions.rides import Ride
from jobs.commands.train import command as train_command
from jobs.training import train as train_module
from jobs.training.pipeline import COLUMNS
from jobs.trips import synthetic
from jobs.trips.cleaning import clean_trips, read_trips

# MLflow itself uses deprecated features of SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

SIGNATURE = [{"type": "float", "name": name, "required": True} for name in COLUMNS]


class Workspace:
    """Two months of trips, a registry in SQLite and a model bucket in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.january = str(folder / "green_tripdata_2021-01.parquet")
        self.february = str(folder / "green_tripdata_2021-02.parquet")
        synthetic.write_month(date(2021, 1, 1), Path(self.january), 6_000)
        synthetic.write_month(date(2021, 2, 1), Path(self.february), 3_000)
        self.environment = {
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
            "MODEL_BUCKET": str(folder / "bucket"),
        }
        tracking_uri = self.environment["MLFLOW_TRACKING_URI"]
        self.client = MlflowClient(tracking_uri, registry_uri=tracking_uri)

    def train(self, *options: str) -> Result:
        return CliRunner(env=self.environment).invoke(train_command, [*options, "--trees", "10"])

    def run(self, version: str) -> Run:
        return self.client.get_run(self.client.get_model_version("ride-duration", version).run_id or "")

    def artifact(self, version: str, name: str) -> Path:
        uri = self.run(version).info.artifact_uri
        return Path(str(uri).removeprefix("file://")) / name

    def model(self, version: str) -> Path:
        location = self.client.get_model_version_download_uri("ride-duration", version)
        return Path(location.removeprefix("file://"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """With version 1, trained on January and evaluated on February."""
    workspace = Workspace(tmp_path_factory.mktemp("train"))
    result = workspace.train("--trips", workspace.january, "--validate", workspace.february)
    assert result.exit_code == 0, result.output
    assert "registered ride-duration version 1" in result.output
    return workspace


def test_the_run_has_parameters_metrics_and_plots(workspace: Workspace) -> None:
    run = workspace.run("1")
    assert run.data.params["trees"] == "10"
    assert len(run.data.params["training_digest"]) == 64
    metrics = run.data.metrics
    assert {"rmse", "mae", "p90", "rmse_without_pickup_time", "fit_seconds", "rmse_by_hour/08"} <= set(
        metrics
    )
    assert metrics["onnx_max_difference"] < 0.001
    assert metrics["rmse_by_borough/Manhattan"] > 0
    plots = sorted(path.name for path in workspace.artifact("1", "plots").iterdir())
    assert plots == [
        "error_by_hour.png",
        "importance.png",
        "predicted_against_actual.png",
        "residuals.png",
    ]
    cleaning = json.loads(workspace.artifact("1", "cleaning.json").read_text())
    assert cleaning["trips"]["kept"] == metrics["rides_training"]
    assert cleaning["trips"]["kept"] + sum(cleaning["trips"]["dropped"].values()) == cleaning["trips"]["read"]


def test_names_and_descriptions_say_what_was_trained(workspace: Workspace) -> None:
    run = workspace.run("1")
    assert run.info.run_name == "green 2021-01 → ride-duration"
    assert (run.data.params["trained_on"], run.data.params["evaluated_on"]) == (
        "green 2021-01",
        "green 2021-02",
    )
    assert run.data.tags["mlflow.note.content"] == "Trained on green 2021-01, evaluated on green 2021-02."
    assert run.data.tags["ridecast.version"] == __version__
    version = workspace.client.get_model_version("ride-duration", "1")
    assert re.fullmatch(
        r"Trained on green 2021-01, evaluated on green 2021-02\. "
        r"RMSE [\d.]+ minutes on [\d,]+ held-out rides\.",
        version.description or "",
    )
    assert version.tags["trained_on"] == "green 2021-01"
    assert "The alias `champion`" in (
        workspace.client.get_registered_model("ride-duration").description or ""
    )
    experiment = workspace.client.get_experiment(run.info.experiment_id)
    assert "`python -m jobs train`" in experiment.tags["mlflow.note.content"]
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_the_months_are_datasets_of_the_run(workspace: Workspace) -> None:
    inputs = {each.dataset.name: each for each in workspace.run("1").inputs.dataset_inputs}
    assert set(inputs) == {"green 2021-01", "green 2021-02"}
    contexts = {name: [tag.value for tag in each.tags] for name, each in inputs.items()}
    assert contexts == {"green 2021-01": ["training"], "green 2021-02": ["evaluation"]}
    january, february = (inputs[name].dataset for name in sorted(inputs))
    assert json.loads(january.profile) == {"num_rows": 6000}
    assert mlflow.data.get_source(january).uri == workspace.january
    assert january.digest != february.digest


def test_the_held_out_rides_are_logged_for_promote(workspace: Workspace) -> None:
    held_out = pd.read_parquet(workspace.artifact("1", "held_out.parquet"))
    expected = clean_trips(read_trips([workspace.february])).trips.reset_index(drop=True)
    pd.testing.assert_frame_equal(held_out, expected)


def test_the_registered_model_is_onnx_with_its_signature(workspace: Workspace) -> None:
    model = workspace.model("1")
    description = mlflow.models.Model.load(str(model))
    assert set(description.flavors) == {"onnx", "python_function"}
    assert json.loads(description.signature.to_dict()["inputs"]) == SIGNATURE
    assert description.metadata == {
        "target": "ride_duration",
        "unit": "minutes",
        "minimum": 0.0,
        "maximum": 180.0,
    }
    example = description.load_input_example(str(model))
    assert list(example.columns) == list(COLUMNS)
    assert example.pickup_minute.isna().any()
    assert example.pickup_minute.notna().any()
    assert onnx.load(str(model / "model.onnx")).graph.output[0].name == "ride_duration"


def test_the_functions_serve_what_was_trained(workspace: Workspace) -> None:
    model = load_model(resolve(str(workspace.model("1"))))
    scikit_learn = mlflow.artifacts.download_artifacts(
        f"runs:/{workspace.run('1').info.run_id}/sklearn",
        tracking_uri=workspace.environment["MLFLOW_TRACKING_URI"],
    )
    rides = ride_columns([Ride(130, 205, 3.66), Ride(265, 1, 0.0), Ride(74, 42, 1.2)])
    minutes = model.predict(rides)
    assert minutes[0] > minutes[2] > 0
    np.testing.assert_allclose(load_model(resolve(scikit_learn)).predict(rides), minutes, atol=0.001)


def test_mlflow_alone_loads_both_models(workspace: Workspace, tmp_path: Path) -> None:
    workspace.client.set_registered_model_alias("ride-duration", "champion", "1")
    code = f"""
import mlflow
for uri in ("models:/ride-duration@champion", "runs:/{workspace.run("1").info.run_id}/sklearn"):
    model = mlflow.pyfunc.load_model(uri)
    assert len(model.predict(model.input_example)) == len(model.input_example)
import sys
assert not [name for name in sys.modules if name.split(".")[0] in ("jobs", "functions")]
"""
    # -P: without this folder on the path, where Ridecast's own code may be.
    result = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env=workspace.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_message: object) -> None:
        """Says nothing: it would log the signature."""


@pytest.fixture
def signed_url(workspace: Workspace) -> Iterator[str]:
    """January at a web address with a password and a signature."""
    handler = partial(QuietHandler, directory=str(workspace.folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://ann:s3cret@127.0.0.1:{server.server_port}/green_tripdata_2021-01.parquet?sign=s3cret/x"
        server.shutdown()


def test_the_same_rides_make_the_same_model(workspace: Workspace, signed_url: str) -> None:
    workspace.client.update_registered_model("ride-duration", "Our own words.")
    again = workspace.train("--trips", signed_url, "--validate", workspace.february)
    assert again.exit_code == 0, again.output
    assert (workspace.model("2") / "model.onnx").read_bytes() == (
        workspace.model("1") / "model.onnx"
    ).read_bytes()
    first, second = (
        {each.dataset.name: each.dataset for each in workspace.run(version).inputs.dataset_inputs}
        for version in ("1", "2")
    )
    assert first["green 2021-01"].digest == second["green 2021-01"].digest, "the same rows"
    cleaning = json.loads(workspace.artifact("2", "cleaning.json").read_text())
    assert cleaning["trips"]["places"] == [signed_url.replace("ann:s3cret@", "").partition("?")[0]]
    assert "s3cret" not in again.output
    kept = [path for path in workspace.folder.rglob("*") if path.is_file()]
    assert len(kept) > 20
    assert not [path for path in kept if b"s3cret" in path.read_bytes()], "no credentials in what is logged"
    described = workspace.client.get_registered_model("ride-duration").description
    assert described == "Our own words.", "a description that somebody wrote stays"


def test_nothing_is_registered_if_onnx_disagrees(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = train_module.onnx_predictor

    def shifted(graph: onnx.ModelProto) -> object:
        predict = original(graph)
        return lambda rides: predict(rides) + 0.002

    monkeypatch.setattr(train_module, "onnx_predictor", shifted)
    result = workspace.train("--trips", workspace.january, "--name", "shifted")
    assert "held out: the last 1," in result.output
    assert result.exit_code == 1
    assert "Error: ONNX and scikit-learn differ by up to 0.00" in result.output
    assert not workspace.client.search_model_versions("name='shifted'")


def test_too_few_rides_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    synthetic.write_month(date(2021, 1, 1), tmp_path / "few.parquet", 500)
    result = workspace.train("--trips", str(tmp_path / "few.parquet"))
    assert result.exit_code == 1
    assert "but 1,000 are needed" in result.output


def test_a_missing_month_is_a_readable_error(workspace: Workspace) -> None:
    result = workspace.train("--trips", "absent.parquet")
    assert result.exit_code == 1
    assert result.output == "Error: absent.parquet does not exist: give the path of a file\n"


def test_a_tracking_server_that_is_down_is_reported_at_once(workspace: Workspace) -> None:
    runner = CliRunner(env=workspace.environment | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"})
    result = runner.invoke(train_command, ["--trips", workspace.january])
    assert result.exit_code == 1
    assert "no MLflow server answers at http://127.0.0.1:1" in result.output


def test_all_missing_settings_are_reported_at_once(workspace: Workspace) -> None:
    runner = CliRunner(env={"MLFLOW_TRACKING_URI": None, "MODEL_BUCKET": None})
    result = runner.invoke(train_command, ["--trips", workspace.january])
    assert "MLFLOW_TRACKING_URI is not set" in result.output
    assert "MODEL_BUCKET is not set" in result.output
