"""Scoring from a bucket into a bucket, with the promoted champion and with models of the registry."""

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
from jobs.registry.model_versions import ModelRegistry
from jobs.registry.release_pointer import write_pointer
from jobs.storage.atomic import atomic_write
from jobs.storage.errors import FileAccessError
from jobs.storage.files import exists, open_read
from jobs.storage.gcs import CHUNK_BYTES
from jobs.trips.synthetic import write_month
from tests.models import log_onnx

pytestmark = pytest.mark.usefixtures("in_cloud")
ROWS = 300_000
"""Larger than one request of an upload or a download."""


@pytest.fixture(autouse=True)
def _own_client() -> None:
    storage_client.cache_clear()


@pytest.fixture
def month(tmp_path: Path) -> str:
    """A generated month in the bucket."""
    local = tmp_path / "local.parquet"
    write_month(date(2021, 3, 1), local, ROWS)
    uri = f"gs://{BUCKET}/trips/green_tripdata_2021-03.parquet"
    with atomic_write(uri) as file:
        file.write(local.read_bytes())
    return uri


def score(*words: str) -> Result:
    result = CliRunner().invoke(command, words)
    assert result.exit_code == 0, result.output
    return result


def test_a_bucket_gets_what_a_folder_gets(month: str, tmp_path: Path, mlflow_server: str) -> None:
    registry = ModelRegistry(mlflow_server, "ride-duration")
    release = registry.release(log_onnx("ride-duration"))
    write_pointer(f"gs://{BUCKET}/releases/ride-duration/champion.json", release)
    registry.set_champion(release, "champion", {})

    output = score("--trips", month, "--output", f"gs://{BUCKET}/predictions").output
    layout = f"taxi_type=green/year=2021/month=03/{release.run_id}-v{release.version}.parquet"
    assert f"gs://{BUCKET}/predictions/{layout}" in output
    for model in ("models:/ride-duration@champion", f"models:/ride-duration/{release.version}"):
        score("--trips", str(tmp_path / "local.parquet"), "--output", str(tmp_path / "out"), "--model", model,
              "--year", "2021", "--month", "3")  # fmt: skip
    for kind in ("", "rejected/"):
        with open_read(f"gs://{BUCKET}/predictions/{kind}{layout}") as file:
            content = file.read()
        assert content == (tmp_path / "out" / kind / layout).read_bytes()
    assert len(pd.read_parquet(tmp_path / "out" / layout, partitioning=None)) > ROWS * 0.9


@pytest.mark.parametrize("old", [b"", b"old"])
def test_a_failed_upload_is_not_visible(old: bytes) -> None:
    uri = f"gs://{BUCKET}/half/{len(old)}"
    if old:
        with atomic_write(uri) as file:
            file.write(old)
    with suppress(KeyboardInterrupt), atomic_write(uri) as file:
        file.write(bytes(2 * CHUNK_BYTES + 1))
        raise KeyboardInterrupt
    gc.collect()
    assert exists(uri) is bool(old)
    if old:
        with open_read(uri) as file:
            assert file.read() == old


def test_an_upload_that_cannot_be_cancelled_is_not_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"gs://{BUCKET}/half/out-of-reach"

    def refused(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    with suppress(KeyboardInterrupt), atomic_write(uri) as file:
        file.write(bytes(CHUNK_BYTES + 1))
        monkeypatch.setattr(requests.Session, "request", refused)
        raise KeyboardInterrupt
    monkeypatch.undo()
    del file
    gc.collect()
    assert not exists(uri)


def test_a_missing_bucket_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(FileAccessError, match="gs://nowhere/at-all does not exist"),
        open_read("gs://nowhere/at-all"),
    ):
        pass
    with pytest.raises(FileAccessError, match="does not exist"), atomic_write("gs://nowhere/at-all") as file:
        file.write(b"x")
