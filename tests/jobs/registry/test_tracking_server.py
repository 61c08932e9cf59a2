"""How jobs are known to a tracking server that asks who they are."""

import os

import pytest
from mlflow.tracking._tracking_service.utils import get_default_host_creds

from jobs.identity_token import NoToken
from jobs.registry import tracking_server as module
from jobs.registry.tracking_server import TrackingFailed, reachable
from jobs.settings import Settings

CLOUD_RUN = "https://ridecast-mlflow-123456789012.us-central1.run.app"


@pytest.fixture(autouse=True)
def _nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_knock", lambda _: None)
    for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_AUTH"):
        monkeypatch.delenv(name, raising=False)


def test_a_server_on_cloud_run_is_shown_our_account_s_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "identity_token", lambda url: f"token for {url}")
    with reachable(Settings(CLOUD_RUN, "gs://b")):
        assert get_default_host_creds(CLOUD_RUN).token == f"token for {CLOUD_RUN}"
    assert get_default_host_creds(CLOUD_RUN).token is None
    with pytest.raises(ZeroDivisionError), reachable(Settings(CLOUD_RUN, "gs://b")):
        _ = 1 / 0
    assert "MLFLOW_TRACKING_TOKEN" not in os.environ


@pytest.mark.parametrize("address", ["https://mlflow.example.com", "http://127.0.0.1:5000", "sqlite:///f.db"])
def test_nobody_else_is(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(module, "identity_token", lambda _: pytest.fail("asked for a token"))
    with reachable(Settings(address, "gs://b")):
        assert "MLFLOW_TRACKING_TOKEN" not in os.environ


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME"])
def test_a_person_s_own_credentials_are_left(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(module, "identity_token", lambda _: pytest.fail("asked for a token"))
    monkeypatch.setenv(name, "mine")
    with reachable(Settings(CLOUD_RUN, "gs://b")):
        assert os.environ[name] == "mine"
    assert os.environ[name] == "mine"


def test_where_there_is_no_account_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: str) -> str:
        raise NoToken("no identity token is to be had here")

    monkeypatch.setattr(module, "identity_token", none)
    with (
        pytest.raises(TrackingFailed, match="gcloud run services proxy"),
        reachable(Settings(CLOUD_RUN, "gs://b")),
    ):
        pytest.fail("went on without a token")
