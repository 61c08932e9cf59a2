"""`python -m jobs download`: TLC's months, or generated ones, at the same paths."""

from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from jobs.commands.download import TAXIS, command
from jobs.trips import download
from jobs.trips.synthetic import COLUMNS

PATHS = [f".cache/trips/green_tripdata_2021-0{month}.parquet" for month in (1, 2)]


@pytest.fixture(autouse=True)
def _in_an_empty_folder_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nowhere = partial(download.download_months, tlc_url="http://127.0.0.1:9/")
    monkeypatch.setattr(download, "download_months", nowhere)
    for name in ("MLFLOW_TRACKING_URI", "MODEL_BUCKET"):
        monkeypatch.delenv(name, raising=False)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def test_without_a_network_months_are_generated_which_is_said() -> None:
    result = invoke("2021-01", "2021-02")

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == PATHS
    assert "green_tripdata_2021-01.parquet cannot be reached" in result.stderr
    assert "Generated trips of a made-up city" in result.stderr
    assert f"-m jobs train --trips {PATHS[0]} --validate {PATHS[1]}\n" in result.stderr
    assert "export MLFLOW_TRACKING_URI=" in result.stderr
    assert pq.read_metadata(PATHS[0]).num_rows == 60_000


def test_what_is_generated_is_generated_once() -> None:
    invoke("2021-01", "--generated")
    first = Path(PATHS[0]).stat().st_mtime_ns

    result = invoke("2021-01")

    assert result.stdout.splitlines() == PATHS[:1]
    assert Path(PATHS[0]).stat().st_mtime_ns == first


def test_generated_months_do_not_mix_with_real_ones() -> None:
    invoke("2021-01", "--generated")
    real = pq.read_table(PATHS[0]).replace_schema_metadata(None)
    pq.write_table(real, PATHS[0])

    for options in ([], ["--generated"]):
        result = invoke("2021-01", "2021-02", *options)

        assert result.exit_code == 1
        assert f"{PATHS[0]} is not generated, and generated months do not belong beside" in result.stderr
        assert not Path(PATHS[1]).exists()
        assert pq.read_table(PATHS[0]).equals(real)


def test_a_generated_month_beside_real_ones_is_pointed_out() -> None:
    invoke("2021-01", "2021-02", "--generated")
    pq.write_table(pq.read_table(PATHS[0]).replace_schema_metadata(None), PATHS[0])

    result = invoke("2021-01")

    assert result.stdout.splitlines() == PATHS[:1]
    assert f"{PATHS[1]} is still generated" in result.stderr


@pytest.mark.parametrize("taxi", TAXIS)
def test_each_kind_of_taxi_has_tlcs_names(taxi: str) -> None:
    assert tuple(TAXIS) == download.TAXIS

    result = invoke("2021-01", "--taxi", taxi, "--generated", "--folder", "my months")

    assert result.stdout.splitlines() == [f"my months/{taxi}_tripdata_2021-01.parquet"]
    assert pq.read_schema(result.stdout.strip()).names == list(COLUMNS[taxi].values())


def test_a_damaged_file_is_named() -> None:
    Path(PATHS[0]).parent.mkdir(parents=True)
    Path(PATHS[0]).write_bytes(b"PAR1 cut off")

    assert f"Error: {PATHS[0]} is damaged: delete it and try again" in invoke("2021-01").stderr


def test_what_is_no_month_is_a_wrong_argument() -> None:
    result = invoke("2021-1")

    assert result.exit_code == 2
    assert "'2021-1' is not a valid month: write it like 2021-03" in result.stderr
