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


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "x"])
def test_seconds_are_a_number_of_at_least_zero(value: str) -> None:
    with pytest.raises(SettingsError, match="MODEL_REFRESH_SECONDS"):
        Settings.read(WHOLE | {"MODEL_REFRESH_SECONDS": value}, streaming=True)


def test_settings_are_frozen_and_keep_secrets() -> None:
    settings = Settings.read(WHOLE | {"MLFLOW_TRACKING_TOKEN": "s3cret"}, streaming=True)
    assert "s3cret" not in repr(settings)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.model_uri = "x"  # type: ignore[misc]
