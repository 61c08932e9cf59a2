import click
import pytest

from jobs.settings import Settings


def test_everything_missing_is_named_at_once() -> None:
    with pytest.raises(click.UsageError) as caught:
        Settings.read({})
    assert "MLFLOW_TRACKING_URI" in str(caught.value)
    assert "MODEL_BUCKET" in str(caught.value)


def test_the_pointer_has_a_fixed_place() -> None:
    settings = Settings.read({"MLFLOW_TRACKING_URI": "sqlite:///m.db", "MODEL_BUCKET": "gs://models/"})
    assert settings.pointer("ride-duration") == "gs://models/releases/ride-duration/champion.json"
