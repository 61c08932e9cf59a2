import pytest

from functions.errors import SettingsError
from jobs.settings import Settings


def test_all_missing_variables_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.read({})
    assert "MLFLOW_TRACKING_URI" in str(caught.value)
    assert "MODEL_BUCKET" in str(caught.value)


def test_the_pointers_uri() -> None:
    settings = Settings.read({"MLFLOW_TRACKING_URI": "sqlite:///m.db", "MODEL_BUCKET": "gs://models/"})
    assert settings.pointer("ride-duration") == "gs://models/releases/ride-duration/champion.json"
