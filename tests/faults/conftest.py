"""Faults on purpose: what is promised, tried on real processes; the figures go into docs/reliability.md."""

import pytest

from tests.faults.figures import Figures

FIGURES = pytest.StashKey[Figures]()


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the suite runs in full: `make faults` and `make load`; else in its short form."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    """Takes this run's figures: `figures.add("matrix", fault="…", sent="150", …)`."""
    return request.config.stash[FIGURES]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = Figures()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = config.stash[FIGURES]
    for name, table in figures.tables().items():
        terminalreporter.section(name)
        terminalreporter.write(table)
    if config.getoption("--full"):
        figures.write()
