"""Train, promote, roll back, sync: the commands as a person types them, on a database file and a folder."""

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
from jobs.registry.model_store import take_stock
from jobs.trips.synthetic import write_month
from tests.models import some_rides

NAME = "ride-duration"


class House:
    """A tracking database and a model bucket in one folder, and the jobs that use them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tracking_uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.bucket = folder / "bucket"
        self.pointer = self.bucket / "releases" / NAME / "champion.json"

    def run(self, *words: str) -> Result:
        environment = {
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "MODEL_BUCKET": str(self.bucket),
            "COLUMNS": "200",
        }
        return CliRunner().invoke(main, words, env=environment)

    def released(self) -> dict[str, Any]:
        pointer: dict[str, Any] = json.loads(self.pointer.read_text())
        return pointer

    @property
    def registry(self) -> MlflowClient:
        return MlflowClient(self.tracking_uri, registry_uri=self.tracking_uri)

    def champion(self) -> str:
        return str(self.registry.get_model_version_by_alias(NAME, "champion").version)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Version 1 stopped learning early, and is worse than version 2."""
    house = House(tmp_path_factory.mktemp("a house"))  # with a space, as in many a path
    january, february = (str(house.folder / f"{month}.parquet") for month in ("january", "february"))
    write_month(date(2021, 1, 1), Path(january), 6000)
    write_month(date(2021, 2, 1), Path(february), 2000)
    for trees in ("3", "40"):
        trained = house.run("train", "--trips", january, "--validate", february, "--trees", trees)
        assert trained.exit_code == 0, trained.output
    return house


def test_promotion_from_the_first_champion_to_a_roll_back(house: House) -> None:
    """One story, because each step begins where the last one ended."""
    first = house.run("promote")
    assert first.exit_code == 0, first.output
    assert "version 2 is the champion" in first.stdout
    assert house.champion() == "2"
    pointer = house.released()
    assert (pointer["name"], pointer["version"]) == (NAME, "2")
    assert pointer["run_id"] == house.registry.get_model_version(NAME, "2").run_id
    assert {file["path"] for file in pointer["files"]} >= {"MLmodel", "model.onnx"}
    assert [each.sha256 for each in take_stock(pointer["location"])] == [
        f["sha256"] for f in pointer["files"]
    ]
    assert load_model(resolve(str(house.pointer))).version == "2"

    worse = house.run("promote", "--version", "1")
    assert worse.exit_code == 1, "older, but never champion: no roll-back"
    assert "version 1 stays out: RMSE" in worse.stderr
    assert "✗" in worse.stdout
    assert (house.champion(), house.released()["version"]) == ("2", "2"), "nothing was changed"

    forced = house.run("promote", "--version", "1", "--force")
    assert forced.exit_code == 0, forced.output
    assert (house.champion(), house.released()["version"]) == ("1", "1")
    assert "RMSE" in house.registry.get_model_version(NAME, "1").tags["promotion_forced"]

    assert house.run("promote", "--version", "2").exit_code == 0
    back = house.run("promote", "--version", "1")
    assert back.exit_code == 0, back.output
    assert "(roll-back)" in back.stdout
    assert (house.champion(), house.released()["version"]) == ("1", "1")

    house.registry.set_registered_model_alias(NAME, "champion", "2")
    assert house.released()["version"] == "1", "the functions follow the pointer, not the alias"
    assert "now names version 2" in house.run("sync").stdout
    assert house.released()["version"] == "2"
    assert "already names version 2" in house.run("sync").stdout


def test_a_champion_that_is_broken_can_be_replaced_by_force_only(house: House) -> None:
    house.run("promote", "--version", "2", "--force")
    model = Path(house.released()["location"]) / "model.onnx"
    content = model.read_bytes()
    model.write_bytes(b"")
    try:
        refused = house.run("promote", "--version", "1")
        assert refused.exit_code == 1
        assert "champion can be judged" in refused.stderr
        forced = house.run("promote", "--version", "1", "--force")
        assert forced.exit_code == 0, forced.output
        assert (
            "champion can be judged" in house.registry.get_model_version(NAME, "1").tags["promotion_forced"]
        )
    finally:
        model.write_bytes(content)


def test_a_registry_that_is_down_is_told_at_once(house: House) -> None:
    environment = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "MODEL_BUCKET": str(house.bucket)}
    for command in ("promote", "sync"):
        told = CliRunner().invoke(main, [command], env=environment)
        assert told.exit_code == 1
        assert "no MLflow server answers at http://127.0.0.1:1" in told.stderr


def test_a_version_that_is_not_there_is_told(house: House) -> None:
    missing = house.run("promote", "--version", "99")
    assert missing.exit_code == 1
    assert "Error: ride-duration has no version 99" in missing.stderr
    other = house.run("promote", "--name", "other")
    assert "no version of other is registered" in other.stderr
    assert "promote one first" in house.run("sync", "--name", "other").stdout


def test_missing_settings_are_named_by_every_command(house: House) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "MODEL"))
    }
    for words in (["promote"], ["sync"], ["train", "--trips", "january.parquet"]):
        told = subprocess.run(
            [sys.executable, "-m", "jobs", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 2
        assert "MLFLOW_TRACKING_URI" in told.stderr
        assert "MODEL_BUCKET" in told.stderr
        assert "Traceback" not in told.stderr


def test_anyone_can_load_the_champion_with_mlflow_alone(house: House, tmp_path: Path) -> None:
    """In a folder and a process that know nothing of this project."""
    script = """
import mlflow
model = mlflow.pyfunc.load_model("models:/ride-duration@champion")
print(len(model.predict(model.input_example)) > 0, sorted(model.metadata.flavors))
"""
    house.run("promote", "--version", "1", "--force")
    environment = os.environ | {"MLFLOW_TRACKING_URI": house.tracking_uri, "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "True ['onnx', 'python_function']"


def test_the_release_gives_the_registered_models_numbers(house: House) -> None:
    rides = some_rides(200)
    by_pointer = load_model(resolve(str(house.pointer)))
    by_folder = load_model(resolve(house.released()["location"]))
    assert by_pointer.predict(rides).tolist() == by_folder.predict(rides).tolist()
