"""The local cloud's commands as processes, and small months for them."""

import signal
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from jobs.trips.synthetic import write_month
from tests.end_to_end.local_command import LocalCommand


@pytest.fixture(scope="module")
def trips(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two small months, in the form of TRIPS."""
    folder = tmp_path_factory.mktemp("trips")
    months = [folder / "january.parquet", folder / "february.parquet"]
    for number, path in enumerate(months, start=1):
        write_month(date(2021, number, 1), path, rides=6_000)
    return " ".join(map(str, months))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., LocalCommand]]:
    """Starts `python -m jobs local …` in its own process group, and stops it after the test."""
    started: list[LocalCommand] = []

    def start(*arguments: str, **variables: str) -> LocalCommand:
        started.append(LocalCommand(arguments, tmp_path / "temporary", variables))
        return started[-1]

    yield start
    for local in started:
        local.end(signal.SIGINT)
