import dataclasses

import pytest

from functions.errors import SettingsError
from functions.settings import FunctionSettings

COMPLETE = {
    "MODEL_URI": "gs://b/releases/ride-duration/champion.json",
    "PREDICTIONS_TOPIC": "projects/p/topics/predictions",
    "DEAD_LETTER_TOPIC": "stdout:",
}


def test_one_error_lists_all_missing_and_invalid_settings() -> None:
    with pytest.raises(SettingsError) as caught:
        FunctionSettings.read({"MODEL_REFRESH_SECONDS": "soon", "LOG_LEVEL": "loud"}, streaming=True)
    for name in (*COMPLETE, "MODEL_REFRESH_SECONDS", "LOG_LEVEL"):
        assert name in str(caught.value)


def test_only_model_uri_is_required_for_the_http_function() -> None:
    settings = FunctionSettings.read({"MODEL_URI": " /models/7 "})
    assert settings.model_uri == "/models/7"
    assert settings.refresh_seconds == 60
    assert settings.max_body_bytes == 1 << 20
    assert settings.log_level == "INFO"
    assert not settings.allow_pickle


def test_a_registry_uri_needs_the_tracking_uri() -> None:
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_URI"):
        FunctionSettings.read({"MODEL_URI": "models:/ride-duration@champion"})


@pytest.mark.parametrize("name", ["PUSH_AUDIENCE", "PUSH_SERVICE_ACCOUNT"])
def test_the_push_settings_are_required_together(name: str) -> None:
    both = {"PUSH_AUDIENCE": "https://push.example", "PUSH_SERVICE_ACCOUNT": "pusher@example.com"}
    settings = FunctionSettings.read(COMPLETE | both, streaming=True)
    assert (settings.push_audience, settings.push_service_account) == tuple(both.values())
    assert FunctionSettings.read(COMPLETE, streaming=True).push_audience == ""
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        FunctionSettings.read(COMPLETE | both | {name: " "}, streaming=True)


def test_model_buckets_restrict_model_uri() -> None:
    assert FunctionSettings.read(COMPLETE).allowed_prefixes == ()
    two_buckets = FunctionSettings.read(COMPLETE | {"MODEL_BUCKETS": " other , b,"})
    assert two_buckets.allowed_prefixes == ("gs://other/", "gs://b/")
    registered = {"MODEL_URI": "models:/m@champion", "MLFLOW_TRACKING_URI": "https://mlflow.example"}
    assert FunctionSettings.read(registered | {"MODEL_BUCKETS": "b"}).allowed_prefixes == ("gs://b/",)
    for uri in ("gs://bb/champion.json", "/models/m", "GS://b/m", "file:///b"):
        with pytest.raises(SettingsError, match="is not in MODEL_BUCKETS: gs://b/"):
            FunctionSettings.read({"MODEL_URI": uri, "MODEL_BUCKETS": "b"})


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "x"])
def test_invalid_seconds_are_rejected(value: str) -> None:
    with pytest.raises(SettingsError, match="MODEL_REFRESH_SECONDS"):
        FunctionSettings.read(COMPLETE | {"MODEL_REFRESH_SECONDS": value}, streaming=True)


def test_settings_are_frozen_and_hide_secrets() -> None:
    settings = FunctionSettings.read(COMPLETE | {"MLFLOW_TRACKING_TOKEN": "s3cret"}, streaming=True)
    assert "s3cret" not in repr(settings)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.model_uri = "x"  # type: ignore[misc]
