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
def city(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Generated months of green trips by `YYYY-MM`, for machines without real ones."""
    folder = tmp_path_factory.mktemp("city")
    months = {f"{month:%Y-%m}": month for month in (date(2021, 1, 1), date(2021, 2, 1), date(2021, 3, 1))}
    places = {name: folder / f"green_tripdata_{name}.parquet" for name in months}
    for name, month in months.items():
        write_month(month, places[name], 12_000)
    return places


@pytest.fixture
def report(onnx_folder: Path) -> Callable[..., Result]:
    """Runs the command with the small model, where no MLflow is."""

    def run(*words: object, **environment: str) -> Result:
        runner = CliRunner(env={"MLFLOW_TRACKING_URI": "", "MODEL_BUCKET": ""} | environment)
        return runner.invoke(command, [*map(str, words), "--model", str(onnx_folder)])

    return run


def half_as_far_again(trips: pd.DataFrame) -> pd.DataFrame:
    return trips.assign(trip_distance=trips.trip_distance * 1.5)


def by_night(trips: pd.DataFrame) -> pd.DataFrame:
    twelve = pd.Timedelta(hours=12)
    times = ["lpep_pickup_datetime", "lpep_dropoff_datetime"]
    return trips.assign(**{name: trips[name] + twelve for name in times})


def more_in_the_bronx(trips: pd.DataFrame) -> pd.DataFrame:
    bronx = trips.PULocationID.map({zone: place.borough == "Bronx" for zone, place in ZONES.items()})
    return trips[bronx.astype(bool) | (trips.index % 4 == 0)]


def slower(trips: pd.DataFrame) -> pd.DataFrame:
    took = trips.lpep_dropoff_datetime - trips.lpep_pickup_datetime
    return trips.assign(lpep_dropoff_datetime=(trips.lpep_pickup_datetime + took * 1.4).dt.floor("us"))


SHIFTS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], set[str]]] = {
    "distances": (half_as_far_again, {"drift/psi/trip_distance", "bias"}),
    "hours": (by_night, {"drift/psi/pickup_hour"}),
    "borough": (more_in_the_bronx, {"drift/psi/PULocationID"}),
    "durations": (slower, {"drift/psi/actual_duration", "rmse", "bias"}),
}
"""What is done to a month → what a report must then name, among others."""


def rewritten(place: Path, folder: Path, change: Callable[[pd.DataFrame], Any]) -> Path:
    """The same month with its trips changed."""
    other = folder / place.name
    change(pd.read_parquet(place)).to_parquet(other)
    return other
