from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from functions.zones import ZONES
from jobs.commands.report import command
from jobs.trips.synthetic import write_month


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Generated months of green trips by `YYYY-MM`, for machines without real ones."""
    folder = tmp_path_factory.mktemp("months")
    months = {f"{month:%Y-%m}": month for month in (date(2021, 1, 1), date(2021, 2, 1), date(2021, 3, 1))}
    paths = {name: folder / f"green_tripdata_{name}.parquet" for name in months}
    for name, month in months.items():
        write_month(month, paths[name], 12_000)
    return paths


@pytest.fixture
def report(onnx_folder: Path) -> Callable[..., Result]:
    """Runs the command with the small model and without MLflow."""

    def run(*args: object, **environment: str) -> Result:
        runner = CliRunner(env={"MLFLOW_TRACKING_URI": "", "MODEL_BUCKET": ""} | environment)
        return runner.invoke(command, [*map(str, args), "--model", str(onnx_folder)])

    return run


def longer_distances(trips: pd.DataFrame) -> pd.DataFrame:
    return trips.assign(trip_distance=trips.trip_distance * 1.5)


def by_night(trips: pd.DataFrame) -> pd.DataFrame:
    twelve = pd.Timedelta(hours=12)
    times = ["lpep_pickup_datetime", "lpep_dropoff_datetime"]
    return trips.assign(**{name: trips[name] + twelve for name in times})


def more_in_the_bronx(trips: pd.DataFrame) -> pd.DataFrame:
    bronx = trips.PULocationID.map({zone_id: zone.borough == "Bronx" for zone_id, zone in ZONES.items()})
    return trips[bronx.astype(bool) | (trips.index % 4 == 0)]


def slower(trips: pd.DataFrame) -> pd.DataFrame:
    duration = trips.lpep_dropoff_datetime - trips.lpep_pickup_datetime
    return trips.assign(lpep_dropoff_datetime=(trips.lpep_pickup_datetime + duration * 1.4).dt.floor("us"))


SHIFTS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], set[str]]] = {
    "distances": (longer_distances, {"drift/psi/trip_distance", "bias"}),
    "hours": (by_night, {"drift/psi/pickup_hour"}),
    "borough": (more_in_the_bronx, {"drift/psi/PULocationID"}),
    "durations": (slower, {"drift/psi/actual_duration", "rmse", "bias"}),
}
"""Name of a shift → how it changes a month, and which checks must then fail, among others."""


def rewrite(path: Path, folder: Path, change: Callable[[pd.DataFrame], Any]) -> Path:
    """Writes a changed copy of a month to a folder."""
    copy = folder / path.name
    change(pd.read_parquet(path)).to_parquet(copy)
    return copy
