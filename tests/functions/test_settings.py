import dataclasses

import pytest

from functions.errors import SettingsError
from functions.settings import Settings

WHOLE = {
    "MODEL_URI": "gs://b/releases/ride-duration/champion.json",
    "PREDICTIONS_TOPIC": "projects/p/topics/predictions",
    "DEAD_LETTER_TOPIC": "stdout:",
}


def test_all_that_is_missing_is_named_in_one_message() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.read({"MODEL_REFRESH_SECONDS": "soon", "LOG_LEVEL": "loud"}, streaming=True)
    for name in (*WHOLE, "MODEL_REFRESH_SECONDS", "LOG_LEVEL"):
        assert name in str(caught.value)


def test_the_http_function_needs_the_model_only() -> None:
    settings = Settings.read({"MODEL_URI": " /models/7 "})
    assert settings.model_uri == "/models/7"
    assert settings.refresh_seconds == 60
    assert settings.largest_body == 1 << 20
    assert settings.log_level == "INFO"
    assert not settings.allow_pickle


def test_a_registry_address_needs_the_registry() -> None:
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_URI"):
        Settings.read({"MODEL_URI": "models:/ride-duration@champion"})


@pytest.mark.parametrize("name", ["PUSH_AUDIENCE", "PUSH_SERVICE_ACCOUNT"])
def test_who_may_push_is_said_by_both_settings_or_by_neither(name: str) -> None:
    both = {"PUSH_AUDIENCE": "https://push.example", "PUSH_SERVICE_ACCOUNT": "pusher@example.com"}
    settings = Settings.read(WHOLE | both, streaming=True)
    assert (settings.push_audience, settings.push_service_account) == tuple(both.values())
    assert Settings.read(WHOLE, streaming=True).push_audience == ""
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        Settings.read(WHOLE | both | {name: " "}, streaming=True)


def test_a_model_comes_from_the_buckets_that_are_allowed() -> None:
    assert Settings.read(WHOLE).model_places == ()
    assert Settings.read(WHOLE | {"MODEL_BUCKETS": " other , b,"}).model_places == ("gs://other/", "gs://b/")
    registered = {"MODEL_URI": "models:/m@champion", "MLFLOW_TRACKING_URI": "https://mlflow.example"}
    assert Settings.read(registered | {"MODEL_BUCKETS": "b"}).model_places == ("gs://b/",)
    for uri in ("gs://bb/champion.json", "/models/m", "GS://b/m", "file:///b"):
        with pytest.raises(SettingsError, match="is in none of MODEL_BUCKETS: gs://b/"):
            Settings.read({"MODEL_URI": uri, "MODEL_BUCKETS": "b"})


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "x"])
def test_seconds_are_a_number_of_at_least_zero(value: str) -> None:
    with pytest.raises(SettingsError, match="MODEL_REFRESH_SECONDS"):
        Settings.read(WHOLE | {"MODEL_REFRESH_SECONDS": value}, streaming=True)


def test_settings_are_frozen_and_keep_secrets() -> None:
    settings = Settings.read(WHOLE | {"MLFLOW_TRACKING_TOKEN": "s3cret"}, streaming=True)
    assert "s3cret" not in repr(settings)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.model_uri = "x"  # type: ignore[misc]
