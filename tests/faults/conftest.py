"""Faults on purpose: what is promised, tried on real processes; the figures go into docs/reliability.md."""

import gc
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.local.emulators import PubSubEmulator
from jobs.local.processes import ProcessGroup
from jobs.local.topics import Topics
from tests.faults.figures import Figures
from tests.faults.stage import Stage

FIGURES = pytest.StashKey[Figures]()


@pytest.fixture(autouse=True, scope="module")
def _broken_off() -> Iterator[None]:
    """What was broken off on purpose is gone before other tests come, in which nothing may be left open."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.unfreeze()
        gc.collect()


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the suite runs in full: `make faults` and `make load`; else in its short form."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    """Takes this run's figures: `figures.add("matrix", fault="…", sent="150", …)`."""
    return request.config.stash[FIGURES]


@pytest.fixture
def stage(
    programs: ProcessGroup, plain_environment: dict[str, str], pubsub: PubSubEmulator, onnx_folder: Path
) -> Iterator[Stage]:
    """A stage on the session's emulator; the function is not started yet."""
    stage = Stage(
        programs,
        plain_environment | {"MODEL_URI": str(onnx_folder)},
        Topics(pubsub.host, f"ridecast-{uuid.uuid4().hex[:8]}"),
    )
    yield stage
    stage.close()


@pytest.fixture
def row(figures: Figures) -> Callable[..., None]:
    """Ends a row of the fault matrix: waits, judges, notes the figures, and fails if a promise was broken.

    Only where the promise is meant to be broken, `kept` is False.
    """

    def end(number: int, fault: str, stage: Stage, *, kept: bool = True) -> None:
        verdict = stage.settle()
        figures.add(
            "matrix",
            row=str(number),
            fault=fault,
            events=str(len(stage.events)),
            predicted=str(verdict.predicted),
            dead_letters=str(verdict.dead_letters),
            delivered_twice=str(verdict.duplicates),
            recovery_s=stage.recovery(),
            kept=("yes" if verdict.kept else "NO")
            if kept
            else ("YES" if verdict.kept else "no, as it must be"),
        )
        assert verdict.kept == kept, verdict

    return end


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = Figures()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))
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
