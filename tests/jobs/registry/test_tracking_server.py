"""Authentication to a tracking server on Cloud Run."""

import os

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking._tracking_service.utils import get_default_host_creds

from jobs.identity_token import TokenUnavailable
from jobs.registry import tracking_server as module
from jobs.registry.tracking_server import TrackingFailed, connect
from jobs.settings import Settings

CLOUD_RUN = "https://ridecast-mlflow-123456789012.us-central1.run.app"


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_health_check", lambda _: None)
    for name in ("TOKEN", "USERNAME", "PASSWORD", "AUTH"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)


def test_cloud_run_gets_the_token_of_the_service_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fetch_identity_token", lambda url: f"token for {url}")
    with connect(Settings(CLOUD_RUN, "gs://b")):
        assert get_default_host_creds(CLOUD_RUN).token == f"token for {CLOUD_RUN}"
    assert get_default_host_creds(CLOUD_RUN).token is None
    with pytest.raises(ZeroDivisionError), connect(Settings(CLOUD_RUN, "gs://b")):
        _ = 1 / 0
    assert "MLFLOW_TRACKING_TOKEN" not in os.environ


@pytest.mark.parametrize("address", ["https://mlflow.example.com", "http://127.0.0.1:5000", "sqlite:///f.db"])
def test_no_other_server_gets_a_token(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(module, "fetch_identity_token", lambda _: pytest.fail("asked for a token"))
    with connect(Settings(address, "gs://b")):
        assert "MLFLOW_TRACKING_TOKEN" not in os.environ


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME"])
def test_the_user_s_own_credentials_are_kept(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(module, "fetch_identity_token", lambda _: pytest.fail("asked for a token"))
    monkeypatch.setenv(name, "mine")
    with connect(Settings(CLOUD_RUN, "gs://b")):
        assert os.environ[name] == "mine"
    assert os.environ[name] == "mine"


def test_without_a_service_account_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> str:
        raise TokenUnavailable("no identity token is to be had here")

    monkeypatch.setattr(module, "fetch_identity_token", fail)
    with (
        pytest.raises(TrackingFailed, match="gcloud run services proxy"),
        connect(Settings(CLOUD_RUN, "gs://b")),
    ):
        pytest.fail("went on without a token")


def test_credentials_are_exported_while_connected_only(monkeypatch: pytest.MonkeyPatch) -> None:
    given = "https://alice:s3cr3t@mlflow.example.com"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "another's")
    settings = Settings.read({"MLFLOW_TRACKING_URI": given, "MODEL_BUCKET": "gs://b"})
    with connect(settings):
        credentials = get_default_host_creds(settings.tracking_uri)
        assert (credentials.host, credentials.username) == ("https://mlflow.example.com", "alice")
        assert credentials.password == "s3cr3t"
        assert os.environ["MLFLOW_TRACKING_URI"] == "https://mlflow.example.com"
    assert os.environ["MLFLOW_TRACKING_URI"] == given
    assert "MLFLOW_TRACKING_USERNAME" not in os.environ
    assert "MLFLOW_TRACKING_PASSWORD" not in os.environ


def test_an_error_does_not_show_the_credentials() -> None:
    given = {"MLFLOW_TRACKING_URI": "https://alice:s3cr3t@mlflow.example.com", "MODEL_BUCKET": "gs://b"}
    with (
        pytest.raises(
            TrackingFailed, match=r"MLflow at https://mlflow.example.com .* failed: refused \*\*\*"
        ) as caught,
        connect(Settings.read(given)),
    ):
        raise MlflowException("refused s3cr3t")
    assert "s3cr3t" not in str(caught.value)
    with (
        pytest.raises(
            TrackingFailed, match=r"postgresql://\*\*\*@db/mlflow needs the package psycopg2"
        ) as caught,
        connect(Settings("postgresql://alice:s3cr3t@db/mlflow", "gs://b")),
    ):
        raise ModuleNotFoundError("No module named 'psycopg2'", name="psycopg2")
    assert "s3cr3t" not in str(caught.value)
