import io
from threading import Event

import pytest
from rich.console import Console

from functions.releases import Release
from jobs.concurrency import run_in_background
from jobs.events.replay import RecordedRide
from jobs.local import cloud as cloud_module
from jobs.local.cloud import LocalCloud, raise_first_failure
from jobs.local.environment import inherited_environment
from jobs.local.processes import ServiceFailed
from jobs.local.screen import Screen
from jobs.local.summary import ServedModel
from jobs.local.up import description, write_settings


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    monkeypatch.setattr(cloud_module, "LOGS", tmp_path / "logs")
    with LocalCloud(Screen(Console(file=io.StringIO()))) as cloud:
        yield cloud


def test_the_folder_is_removed_at_the_end():
    with LocalCloud(Screen(Console(file=io.StringIO()))) as cloud:
        (cloud.folder / "something").write_text("temporary")

    assert not cloud.folder.exists()
    cloud.close()


def test_the_log_of_a_command_that_fails_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(cloud_module, "LOGS", tmp_path / "logs")

    with pytest.raises(ServiceFailed) as failure, LocalCloud(Screen(Console(file=io.StringIO()))) as cloud:
        cloud.run("nonsense")

    assert failure.value.service == "nonsense"
    assert failure.value.log == tmp_path / "logs" / "nonsense.log"
    assert "No such command" in failure.value.log.read_text()
    assert not cloud.folder.exists()


def test_without_pubsub_events_go_to_the_function_and_come_out_in_files(cloud):
    variables = cloud.addresses.environment()

    assert not {"PUBSUB_EMULATOR_HOST", "DEAD_LETTER_SUBSCRIPTION"} & set(variables)
    assert variables["PREDICTIONS_TOPIC"] == str(cloud.folder / "predictions.jsonl")
    assert variables["DEAD_LETTER_TOPIC"] == str(cloud.folder / "dead-letters.jsonl")
    assert cloud.addresses.endpoints.predictions == variables["PREDICTIONS_TOPIC"]


def test_variables_of_another_cloud_are_not_inherited(cloud, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    monkeypatch.setenv("FUNCTION_TARGET", "other")
    monkeypatch.setenv("DEBUG", "1")
    monkeypatch.setenv("NO_PROXY", "intranet")

    inherited = inherited_environment(cloud.folder)

    assert not {"MLFLOW_TRACKING_TOKEN", "FUNCTION_TARGET", "DEBUG"} & set(inherited)
    assert inherited["NO_PROXY"] == "intranet,127.0.0.1,localhost"
    assert inherited["TMPDIR"] == str(cloud.folder)


def test_the_first_failure_does_not_wait_for_the_others():
    with pytest.raises(ZeroDivisionError):
        raise_first_failure(run_in_background(lambda: 1 // 0), run_in_background(Event().wait))


def test_the_description_has_commands_to_copy(cloud):
    ride = RecordedRide(256, {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}, 20.0)

    release = Release(name="ride-duration", version="3", run_id="0123abcd", location="")
    cloud.addresses.mlflow = "http://127.0.0.1:5000"
    settings = write_settings(cloud.folder, cloud.addresses.environment())

    text = description(cloud.addresses, settings, ServedModel(release, {}, "1"), "march.parquet", ride)

    assert "\nexport MODEL_BUCKET=gs://ridecast-models\n" in settings.read_text()
    assert f"\nsource {settings}\n" in text
    assert text.index("http://127.0.0.1:5000/#/models/ride-duration/versions/3") < text.index("source")
    assert "http://127.0.0.1:5000/#/experiments/1/runs/0123abcd" in text
    assert """-d '{"PULocationID":130,"DOLocationID":205,"trip_distance":3.66}'""" in text
    assert "-m jobs replay --trips march.parquet" in text
    assert '"ride_id":256' in text
    assert "-m jobs redrive" not in text, "there is no Pub/Sub"
