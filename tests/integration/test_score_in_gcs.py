"""Scoring from a bucket into a bucket, by the champion that was promoted there, and by the registry."""

import gc
from contextlib import suppress
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
import requests
from click.testing import CliRunner, Result

from functions.artifacts import storage_client
from jobs.commands.score import command
from jobs.local.emulators import BUCKET
from jobs.registry.model_versions import Registry
from jobs.registry.release_pointer import point_at
from jobs.storage.files import STEP_BYTES, FileAccessError, exists, reading, writing
from jobs.trips.synthetic import write_month
from tests.models import log_onnx

pytestmark = pytest.mark.usefixtures("in_cloud")
ROWS = 300_000
"""More than one request of an upload, and of a download, holds."""


@pytest.fixture(autouse=True)
def _own_client() -> None:
    storage_client.cache_clear()


@pytest.fixture
def month(tmp_path: Path) -> str:
    """A generated month in the bucket."""
    local = tmp_path / "local.parquet"
    write_month(date(2021, 3, 1), local, ROWS)
    place = f"gs://{BUCKET}/trips/green_tripdata_2021-03.parquet"
    with writing(place) as file:
        file.write(local.read_bytes())
    return place


def score(*words: str) -> Result:
    result = CliRunner().invoke(command, words)
    assert result.exit_code == 0, result.output
    return result


def test_a_bucket_gets_what_a_folder_gets(month: str, tmp_path: Path, mlflow_server: str) -> None:
    registry = Registry(mlflow_server, "ride-duration")
    release = registry.release(log_onnx("ride-duration"))
    point_at(f"gs://{BUCKET}/releases/ride-duration/champion.json", release)
    registry.crown(release, "champion", {})

    said = score("--trips", month, "--output", f"gs://{BUCKET}/predictions").output
    layout = f"taxi_type=green/year=2021/month=03/{release.run_id}-v{release.version}.parquet"
    assert f"gs://{BUCKET}/predictions/{layout}" in said
    for uri in ("models:/ride-duration@champion", f"models:/ride-duration/{release.version}"):
        score("--trips", str(tmp_path / "local.parquet"), "--output", str(tmp_path / "out"), "--model", uri,
              "--year", "2021", "--month", "3")  # fmt: skip
    for kind in ("", "rejected/"):
        with reading(f"gs://{BUCKET}/predictions/{kind}{layout}") as file:
            content = file.read()
        assert content == (tmp_path / "out" / kind / layout).read_bytes()
    assert len(pd.read_parquet(tmp_path / "out" / layout, partitioning=None)) > ROWS * 0.9


@pytest.mark.parametrize("old", [b"", b"old"])
def test_an_upload_that_fails_is_not_seen(old: bytes) -> None:
    place = f"gs://{BUCKET}/half/{len(old)}"
    if old:
        with writing(place) as file:
            file.write(old)
    with suppress(KeyboardInterrupt), writing(place) as file:
        file.write(bytes(2 * STEP_BYTES + 1))
        raise KeyboardInterrupt
    gc.collect()
    assert exists(place) is bool(old)
    if old:
        with reading(place) as file:
            assert file.read() == old


def test_an_upload_that_cannot_even_be_called_off_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"gs://{BUCKET}/half/out-of-reach"

    def refused(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    with suppress(KeyboardInterrupt), writing(place) as file:
        file.write(bytes(STEP_BYTES + 1))
        monkeypatch.setattr(requests.Session, "request", refused)
        raise KeyboardInterrupt
    monkeypatch.undo()
    del file
    gc.collect()
    assert not exists(place)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(FileAccessError, match="gs://nowhere/at-all does not exist"),
        reading("gs://nowhere/at-all"),
    ):
        pass
    with pytest.raises(FileAccessError, match="does not exist"), writing("gs://nowhere/at-all") as file:
        file.write(b"x")
