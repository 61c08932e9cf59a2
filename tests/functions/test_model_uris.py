import pytest

from functions.errors import ModelUnavailable
from functions.model_uris import ModelUri, is_model_uri, parse_model_uri


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("models:/ride-duration@champion", ModelUri(name="ride-duration", alias="champion")),
        ("models:/ride-duration/7", ModelUri(name="ride-duration", version="7")),
        ("models:/ride-duration/latest", ModelUri(name="ride-duration")),
        ("models:/ride-duration/Latest/", ModelUri(name="ride-duration")),
        ("models:/m-0123456789abcdef", ModelUri(model_id="m-0123456789abcdef")),
        ("models:/m-1/3", ModelUri(name="m-1", version="3")),
        ("models:/Müller's ride model/3", ModelUri(name="Müller's ride model", version="3")),
        ("models:/M%C3%BCller%27s%20ride%20model@a", ModelUri(name="Müller's ride model", alias="a")),
        ("models:/100%/3", ModelUri(name="100%", version="3")),
        ("models:/a@b/3", ModelUri(name="a@b", version="3")),
        ("models:/a@b@champion", ModelUri(name="a@b", alias="champion")),
        ("models:/catalog.schema.model/3", ModelUri(name="catalog.schema.model", version="3")),
        ("runs:/0123abcd/model", ModelUri(run_id="0123abcd", path="model")),
        (
            "runs:/0123abcd/my models/ride duration/",
            ModelUri(run_id="0123abcd", path="my models/ride duration"),
        ),
    ],
)
def test_mlflows_forms_are_parsed(uri: str, expected: ModelUri) -> None:
    assert is_model_uri(uri)
    assert parse_model_uri(uri) == expected


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("models:/", "must look like models:/NAME@ALIAS"),
        ("models:/m", "must look like"),
        ("models:/m@", "must look like"),
        ("models:/@champion", "must look like"),
        ("models:/m@a/b", "must look like"),
        ("models:/a/b/3", "must look like"),
        ("models:/a%2Fb/3", "must look like"),
        ("models:/a\nb/3", "must look like"),
        ("models:/ /3", "must look like"),
        ("models:/m/v7", "must look like"),
        ("models:/m/٣", "must look like"),
        ("models:/m/-1", "must look like"),
        ("models:m/3", "must look like"),
        ("models://m/3", "one slash after the colon: models:/m/3"),
        ("models://profile@databricks/m/3", "Databricks' tracking and registry are not supported"),
        ("models:/ride-duration/Production", "write models:/ride-duration@production"),
        ("models:/ride-duration/staging", "replaced by aliases"),
        ("runs:/", "must look like"),
        ("runs:/a b/model", "must look like"),
        ("runs:/0123abcd", "such as runs:/0123abcd/model"),
    ],
)
def test_other_forms_are_rejected_with_what_to_write_instead(uri: str, sentence: str) -> None:
    with pytest.raises(ModelUnavailable, match=sentence):
        parse_model_uri(uri)


def test_other_uris_are_not_mlflows() -> None:
    assert not any(
        is_model_uri(uri) for uri in ("gs://models/m", "models", "./models:/m", "mlflow-artifacts:/1")
    )
