"""The whole of `python -m jobs report`, on real months and on generated ones."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tests.jobs.monitoring.conftest import SHIFTS, rewritten

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
QUIET = Console(quiet=True)


def beyond(output: str) -> set[str]:
    return set(re.findall(r"✗ (\S+) is ", output))


@pytest.fixture(params=["real", "city"])
def months(request: pytest.FixtureRequest) -> dict[str, Path]:
    found: dict[str, Path] = request.getfixturevalue("real_months" if request.param == "real" else "city")
    return found


def test_the_next_month_passes(months, report) -> None:
    result = report("--trips", months["2021-03"], "--reference", months["2021-02"])
    assert result.exit_code == 0, result.output
    assert "✓ all 13 measures are within their limits" in result.output
    assert f"{months['2021-03'].name} beside {months['2021-02'].name}" in result.output


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shifted_month_is_flagged_and_the_feature_named(shift, months, report, tmp_path) -> None:
    change, named = SHIFTS[shift]
    trips = rewritten(months["2021-03"], tmp_path, change)
    result = report("--trips", trips, "--reference", months["2021-02"])
    assert result.exit_code == 3, result.output
    first = result.output.splitlines()[1]
    assert first.startswith("✗ ")
    assert re.search(r"is [\d.]+( minutes)?, more than [\d.]+", first)
    assert named <= beyond(result.output)


def test_the_halves_of_a_month_are_the_same(months, report, tmp_path) -> None:
    halves = []
    for half in range(2):
        (tmp_path / str(half)).mkdir()
        every_other = np.random.default_rng(1).permutation(len(pd.read_parquet(months["2021-03"])))[half::2]
        halves.append(
            rewritten(
                months["2021-03"], tmp_path / str(half), lambda trips, rows=every_other: trips.iloc[rows]
            )
        )
    result = report("--trips", halves[0], "--reference", halves[1])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("seed", range(3))
def test_a_day_of_a_few_hundred_rides_raises_no_alarm(seed, months, report, tmp_path) -> None:
    def some_of_a_day(trips: pd.DataFrame) -> pd.DataFrame:
        day = trips[trips.lpep_pickup_datetime.dt.date == pd.Timestamp(2021, 3, 10 + 3 * seed).date()]
        return day.sample(300, random_state=seed)

    result = report(
        "--trips", rewritten(months["2021-03"], tmp_path, some_of_a_day), "--reference", months["2021-02"]
    )
    assert result.exit_code == 0, result.output
    assert "in the same hours of the week" in result.output


def test_of_next_to_no_rides_nothing_is_said(city, report, tmp_path) -> None:
    trips = rewritten(city["2021-03"], tmp_path, lambda trips: trips.head(60))
    result = report("--trips", trips, "--reference", city["2021-02"])
    assert result.exit_code == 0, result.output
    assert "of 100 rides that are needed" in result.output
