"""Train, promote, roll back and sync with the commands, on a SQLite database and a local folder."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from mlflow.tracking import MlflowClient

from functions.model import load_model
from functions.resolver import resolve
from jobs.__main__ import main
from jobs.registry.model_store import build_manifest
from jobs.trips.synthetic import write_month
from tests.models import some_rides

NAME = "ride-duration"


class Workspace:
    """A tracking database and a model bucket in one folder, for the commands to use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tracking_uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.bucket = folder / "bucket"
        self.pointer = self.bucket / "releases" / NAME / "champion.json"

    def run(self, *options: str) -> Result:
        environment = {
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "MODEL_BUCKET": str(self.bucket),
            "COLUMNS": "200",
        }
        return CliRunner().invoke(main, options, env=environment)

    def released(self) -> dict[str, Any]:
        pointer: dict[str, Any] = json.loads(self.pointer.read_text())
        return pointer

    @property
    def registry(self) -> MlflowClient:
        return MlflowClient(self.tracking_uri, registry_uri=self.tracking_uri)

    def champion(self) -> str:
        return str(self.registry.get_model_version_by_alias(NAME, "champion").version)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """With two versions: version 1 has few trees and is worse than version 2."""
    workspace = Workspace(tmp_path_factory.mktemp("a workspace"))  # with a space, as in many paths
    january, february = (str(workspace.folder / f"{month}.parquet") for month in ("january", "february"))
    write_month(date(2021, 1, 1), Path(january), 6000)
    write_month(date(2021, 2, 1), Path(february), 2000)
    for trees in ("3", "40"):
        trained = workspace.run("train", "--trips", january, "--validate", february, "--trees", trees)
        assert trained.exit_code == 0, trained.output
    return workspace


def test_promotion_from_the_first_champion_to_a_roll_back(workspace: Workspace) -> None:
    """One test, because each step starts where the previous one ended."""
    first = workspace.run("promote")
    assert first.exit_code == 0, first.output
    assert "version 2 is the champion" in first.stdout
    assert workspace.champion() == "2"
    pointer = workspace.released()
    assert (pointer["name"], pointer["version"]) == (NAME, "2")
    assert pointer["run_id"] == workspace.registry.get_model_version(NAME, "2").run_id
    assert {file["path"] for file in pointer["files"]} >= {"MLmodel", "model.onnx"}
    assert [each.sha256 for each in build_manifest(pointer["location"])] == [
        f["sha256"] for f in pointer["files"]
    ]
    assert load_model(resolve(str(workspace.pointer))).version == "2"

    worse = workspace.run("promote", "--version", "1")
    assert worse.exit_code == 1, "older, but never champion: no roll-back"
    assert "version 1 is not promoted, because these gates failed: RMSE" in worse.stderr
    assert "✗" in worse.stdout
    assert (workspace.champion(), workspace.released()["version"]) == ("2", "2"), "nothing was changed"

    forced = workspace.run("promote", "--version", "1", "--force")
    assert forced.exit_code == 0, forced.output
    assert (workspace.champion(), workspace.released()["version"]) == ("1", "1")
    assert "RMSE" in workspace.registry.get_model_version(NAME, "1").tags["promotion_forced"]

    assert workspace.run("promote", "--version", "2").exit_code == 0
    back = workspace.run("promote", "--version", "1")
    assert back.exit_code == 0, back.output
    assert "(roll-back)" in back.stdout
    assert (workspace.champion(), workspace.released()["version"]) == ("1", "1")

    workspace.registry.set_registered_model_alias(NAME, "champion", "2")
    assert workspace.released()["version"] == "1", "the functions follow the pointer, not the alias"
    assert "now names version 2" in workspace.run("sync").stdout
    assert workspace.released()["version"] == "2"
    assert "already names version 2" in workspace.run("sync").stdout


def test_a_broken_champion_can_only_be_replaced_by_force(workspace: Workspace) -> None:
    workspace.run("promote", "--version", "2", "--force")
    model = Path(workspace.released()["location"]) / "model.onnx"
    content = model.read_bytes()
    model.write_bytes(b"")
    try:
        refused = workspace.run("promote", "--version", "1")
        assert refused.exit_code == 1
        assert "champion can be judged" in refused.stderr
        forced = workspace.run("promote", "--version", "1", "--force")
        assert forced.exit_code == 0, forced.output
        tags = workspace.registry.get_model_version(NAME, "1").tags
        assert "champion can be judged" in tags["promotion_forced"]
    finally:
        model.write_bytes(content)


def test_a_registry_that_is_down_is_reported_at_once(workspace: Workspace) -> None:
    environment = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "MODEL_BUCKET": str(workspace.bucket)}
    for command in ("promote", "sync"):
        result = CliRunner().invoke(main, [command], env=environment)
        assert result.exit_code == 1
        assert "no MLflow server answers at http://127.0.0.1:1" in result.stderr


def test_a_missing_version_is_reported(workspace: Workspace) -> None:
    missing = workspace.run("promote", "--version", "99")
    assert missing.exit_code == 1
    assert "Error: ride-duration has no version 99" in missing.stderr
    other = workspace.run("promote", "--name", "other")
    assert "no version of other is registered" in other.stderr
    assert "promote one first" in workspace.run("sync", "--name", "other").stdout


def test_every_command_reports_missing_settings(workspace: Workspace) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "MODEL"))
    }
    for options in (["promote"], ["sync"], ["train", "--trips", "january.parquet"]):
        result = subprocess.run(
            [sys.executable, "-m", "jobs", *options],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 2
        assert "MLFLOW_TRACKING_URI" in result.stderr
        assert "MODEL_BUCKET" in result.stderr
        assert "Traceback" not in result.stderr


def test_anyone_can_load_the_champion_with_mlflow_alone(workspace: Workspace, tmp_path: Path) -> None:
    """In a folder and a process without access to this project."""
    script = """
import mlflow
model = mlflow.pyfunc.load_model("models:/ride-duration@champion")
print(len(model.predict(model.input_example)) > 0, sorted(model.metadata.flavors))
"""
    workspace.run("promote", "--version", "1", "--force")
    environment = os.environ | {"MLFLOW_TRACKING_URI": workspace.tracking_uri, "PYTHONPATH": ""}
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "True ['onnx', 'python_function']"


def test_the_release_predicts_like_the_registered_model(workspace: Workspace) -> None:
    rides = some_rides(200)
    by_pointer = load_model(resolve(str(workspace.pointer)))
    by_folder = load_model(resolve(workspace.released()["location"]))
    assert by_pointer.predict(rides).tolist() == by_folder.predict(rides).tolist()
