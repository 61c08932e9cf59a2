import re

import pytest

from functions.releases import Release
from jobs.registry.reachability import UnreachableArtifacts, describe_location, require_reachable
from jobs.registry.release_pointer import write_pointer


@pytest.mark.parametrize(
    ("location", "bucket"),
    [
        ("gs://models/m", "gs://models"),
        ("gs://others/m", "gs://models"),
        ("gs://models/m", "/models"),
        ("/models/m", "models"),
        ("file:///models/m", "/models"),
        ("mlflow-artifacts:/1/models/m", "/models"),
    ],
)
def test_reachable_locations(location: str, bucket: str) -> None:
    require_reachable(location, bucket)


@pytest.mark.parametrize(
    ("location", "bucket", "remedy"),
    [
        ("/my models/m", "gs://models", "cp --recursive '/my models/m' gs://models/models/MODEL"),
        (
            "mlflow-artifacts:/1/m",
            "gs://models",
            "mlflow artifacts download --artifact-uri mlflow-artifacts:/1/m",
        ),
        ("s3://models/m", "gs://models", "--artifact-uri s3://models/m --dst-path model"),
        ("s3://models/m", "/models", "cp -r model /models/models/MODEL"),
    ],
)
def test_unreachable_locations_are_refused_with_a_way_out(location: str, bucket: str, remedy: str) -> None:
    with pytest.raises(UnreachableArtifacts, match="cannot reach") as caught:
        require_reachable(location, bucket)
    assert remedy in str(caught.value)
    assert f"promote --model {bucket}/models/MODEL" in str(caught.value)


def test_no_pointer_on_gs_names_a_folder() -> None:
    release = Release(name="m", version="1", location="/models/m")
    with pytest.raises(UnreachableArtifacts):
        write_pointer("gs://models/releases/m/champion.json", release)


@pytest.mark.parametrize(
    ("location", "bucket", "note"),
    [
        ("gs://models/mlflow/1", "gs://models", ""),
        ("/models/mlflow/1", "/models", ""),
        ("file:///models/mlflow/1", "/models", ""),
        ("gs://old/mlflow/1", "gs://models", "not in MODEL_BUCKET=gs://models.*need its bucket there"),
        ("/old/mlflow/1", "/models", "not in MODEL_BUCKET=/models"),
        ("mlflow-artifacts:/1", "/models", "need MLFLOW_TRACKING_URI"),
    ],
)
def test_a_location_outside_the_bucket_has_a_note(location: str, bucket: str, note: str) -> None:
    described = describe_location(location, bucket)
    if note:
        assert re.search(note, described), described
    else:
        assert described == location
