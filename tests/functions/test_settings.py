import dataclasses

import pytest

from functions.errors import SettingsError
from functions.mlflow_client import TrackingServer
from functions.settings import FunctionSettings
from tests.serving import post

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


@pytest.mark.parametrize(
    ("name", "value", "example"),
    [
        ("MODEL_REFRESH_SECONDS", "soon", "MODEL_REFRESH_SECONDS=60"),
        ("MAX_BODY_BYTES", "1 MiB", "MAX_BODY_BYTES=1048576"),
        ("ALLOW_PICKLE", "maybe", "ALLOW_PICKLE=true"),
        ("LOG_LEVEL", "loud", "DEBUG, INFO"),
        ("MODEL_BUCKETS", "my bucket", "MODEL_BUCKETS=models,shared"),
        ("PUBSUB_EMULATOR_HOST", "http://127.0.0.1:8085", "PUBSUB_EMULATOR_HOST=127.0.0.1:8085"),
        ("PUSH_SERVICE_ACCOUNT", "pusher", "push@PROJECT.iam.gserviceaccount.com"),
        ("AIP_PREDICT_ROUTE", "predict", "AIP_PREDICT_ROUTE=/predict"),
        ("AIP_HEALTH_ROUTE", "health", "AIP_HEALTH_ROUTE=/health"),
    ],
)
def test_an_invalid_value_is_named_with_an_example(name: str, value: str, example: str) -> None:
    with pytest.raises(SettingsError) as caught:
        FunctionSettings.read(COMPLETE | {name: value}, streaming=True)
    assert f"{name}={value!r}" in str(caught.value)
    assert example in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("models:/m/Production", "write models:/m@production"),
        ("models:/m", "must look like models:/NAME@ALIAS"),
        ("runs:/ab12", "such as runs:/ab12/model"),
        ("databricks:/x", "Databricks' tracking and registry are not supported"),
    ],
)
def test_a_model_that_can_never_be_found_is_an_error_at_once(uri: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        FunctionSettings.read({"MODEL_URI": uri, "MLFLOW_TRACKING_URI": "http://mlflow"})


@pytest.mark.parametrize(
    ("similar", "hint"),
    [
        ("MODEL_URL", "MODEL_URL is set: should it be MODEL_URI?"),
        ("model_uri", "model_uri is set: should it be MODEL_URI?"),
        ("MLFLOW_MODEL_URI", "MLFLOW_MODEL_URI is set: should it be MODEL_URI?"),
        ("PREDICTION_TOPIC", "PREDICTION_TOPIC is set: should it be PREDICTIONS_TOPIC?"),
        ("DEADLETTER_TOPIC", "DEADLETTER_TOPIC is set: should it be DEAD_LETTER_TOPIC?"),
        ("MODEL_BUCKET", "MODEL_URI=gs://secret/releases/ride-duration/champion.json"),
    ],
)
def test_a_similar_variable_is_pointed_out(similar: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        FunctionSettings.read({similar: "gs://secret"}, streaming=True)
    assert hint in str(caught.value)
    assert similar == "MODEL_BUCKET" or "secret" not in str(caught.value)


def test_a_similar_variable_of_mlflow_is_pointed_out() -> None:
    registered = {"MODEL_URI": "models:/m@champion", "PREDICTIONS_SUBSCRIPTION": "s"}
    for similar in ("MLFLOW_URI", "MLFLOW_URL", "MLFLOW_TRACKING_URL", "TRACKING_URI"):
        with pytest.raises(SettingsError, match=f"{similar} is set: should it be MLFLOW_TRACKING_URI"):
            FunctionSettings.read(registered | {similar: "http://mlflow"})
    with pytest.raises(SettingsError) as caught:
        FunctionSettings.read(registered | {"MLFLOW_TRACKING_TOKEN": "t", "PATH": "/bin"}, streaming=True)
    assert "should it be" not in str(caught.value), "other settings are not misspelled ones"


@pytest.mark.parametrize("name", ["PREDICTIONS_TOPIC", "DEAD_LETTER_TOPIC"])
def test_an_invalid_topic_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    invalid = COMPLETE | {name: "projects/p/subscriptions/s"}
    assert post("predict_event", invalid, "/", json={}).status_code == 503
    assert f"{name}='projects/p/subscriptions/s' must look like projects/PROJECT" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["true", "True", "1", "yes", "on"])
def test_a_switch_is_read_as_in_the_jobs(value: str) -> None:
    assert FunctionSettings.read(COMPLETE | {"ALLOW_PICKLE": value}).allow_pickle
    assert not FunctionSettings.read(COMPLETE | {"ALLOW_PICKLE": "0"}).allow_pickle


def test_the_tracking_address_only_has_to_be_valid_where_it_is_used() -> None:
    wrong = {"MLFLOW_TRACKING_URI": "localhost:5000"}
    assert FunctionSettings.read(COMPLETE | wrong).tracking == TrackingServer()
    for uri in ("models:/m@champion", "models:/m-1", "runs:/ab12/model", "mlflow-artifacts:/1/models/m"):
        with pytest.raises(SettingsError, match="no http:// or https:// in front"):
            FunctionSettings.read({"MODEL_URI": uri} | wrong)


def test_a_bucket_may_be_given_as_its_uri() -> None:
    settings = FunctionSettings.read(COMPLETE | {"MODEL_BUCKETS": "gs://b/, gs://c/models"})
    assert settings.allowed_prefixes == ("gs://b/", "gs://c/models/")


def test_settings_are_frozen_and_hide_secrets() -> None:
    secrets = {
        "MLFLOW_TRACKING_TOKEN": "s3cret",
        "MLFLOW_TRACKING_URI": "https://alice:pa55@mlflow.example.com",
    }
    settings = FunctionSettings.read(COMPLETE | secrets, streaming=True)
    assert settings.tracking.password == "pa55"
    assert "s3cret" not in repr(settings)
    assert "pa55" not in repr(settings)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.model_uri = "x"  # type: ignore[misc]
