from pathlib import Path

import pytest

from functions.errors import SettingsError
from jobs.registry.release_pointer import champion_pointer, find_release
from jobs.settings import Settings, read_tracking_server

VALID = {"MLFLOW_TRACKING_URI": "sqlite:///m.db", "MODEL_BUCKET": "gs://models/"}


@pytest.fixture(autouse=True)
def _no_credentials_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def test_all_missing_variables_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.read({})
    assert "MLFLOW_TRACKING_URI" in str(caught.value)
    assert "MODEL_BUCKET" in str(caught.value)


def test_similar_variables_are_pointed_out() -> None:
    similar = {"MLFLOW_URI": "http://mlflow", "MODEL_BUCKETS": "models"}
    with pytest.raises(SettingsError) as caught:
        Settings.read(similar)
    assert "MLFLOW_URI is set: should it be MLFLOW_TRACKING_URI?" in str(caught.value)
    assert "MODEL_BUCKETS is set: should it be MODEL_BUCKET?" in str(caught.value)
    with pytest.raises(SettingsError, match=r"MODEL_BUCKETS is set: should it be MODEL_BUCKET\?"):
        champion_pointer(similar)
    with pytest.raises(SettingsError, match=r"MLFLOW_URI is set: should it be MLFLOW_TRACKING_URI\?"):
        find_release("models:/m@champion", similar)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("MLFLOW_TRACKING_URI", "localhost:5000", "write it like MLFLOW_TRACKING_URI=http://localhost:5000"),
        ("MLFLOW_TRACKING_URI", "mlflow.example.com", "such as http://localhost:5000, or sqlite:///FILE"),
        ("MLFLOW_TRACKING_URI", "sqlite://m.db", "must have three slashes"),
        ("MLFLOW_TRACKING_URI", "mlflow-artifacts:/1", "is no address that MLflow knows"),
        ("MLFLOW_TRACKING_URI", "databricks", "Databricks' tracking and registry are not supported"),
        ("MODEL_BUCKET", "s3://models", "like MODEL_BUCKET=gs://my-models"),
        ("MODEL_BUCKET", "GS://models", "like MODEL_BUCKET=gs://my-models"),
        ("MODEL_BUCKET", "gs://", "names no bucket: write MODEL_BUCKET=gs://my-models"),
        ("MODEL_BUCKET", "gs:/models", "names no bucket"),
    ],
)
def test_an_invalid_value_is_named_with_an_example(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.read(VALID | {name: value})
    assert name in str(caught.value)
    assert sentence in str(caught.value)


def test_the_pointers_uri() -> None:
    assert Settings.read(VALID).pointer("ride-duration") == "gs://models/releases/ride-duration/champion.json"


@pytest.mark.parametrize(
    "tracking_uri", ["https://alice:s3cr3t@mlflow.example.com/", "postgresql://alice:s3cr3t@db/mlflow"]
)
def test_credentials_are_not_shown(tracking_uri: str) -> None:
    settings = Settings.read(VALID | {"MLFLOW_TRACKING_URI": tracking_uri})
    assert "s3cr3t" not in repr(settings)
    if tracking_uri.startswith("https"):
        assert settings.tracking_uri == "https://mlflow.example.com"
        assert (settings.server.username, settings.server.password) == ("alice", "s3cr3t")


def test_mlflows_credentials_file_is_read(tmp_path: Path) -> None:
    environ = VALID | {"MLFLOW_TRACKING_URI": "https://mlflow.example.com"}
    assert read_tracking_server(environ).authorization == ""
    (tmp_path / ".mlflow").mkdir()
    file = tmp_path / ".mlflow" / "credentials"
    file.write_text("[mlflow]\nmlflow_tracking_username = alice\nmlflow_tracking_password = 100%\n")
    server = read_tracking_server(environ)
    assert (server.username, server.password) == ("alice", "100%")
    assert read_tracking_server(environ | {"MLFLOW_TRACKING_USERNAME": "bob"}).username == "bob"
    file.write_text("no ini file")
    assert read_tracking_server(environ).authorization == ""
