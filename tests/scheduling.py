"""How the suite is spread over pytest-xdist's workers: which tests share one, and which start first.

Each worker starts the emulators and trains the models that its own tests need. A test file therefore stays
on one worker, and so do all files that need a server which takes long to start. What takes longest starts
first, so that no worker is left alone with it at the end.
"""

from collections import defaultdict
from pathlib import Path

import pytest

SHARED = ("prefect_environment", "mlflow_server")
"""Fixtures whose servers take seconds of a core to start: all tests that use one run on the same worker."""
LONGEST = (
    "tests/end_to_end",
    "tests/integration",
    "tests/faults",
    "tests/examples",
    "tests/infra",
    "tests/jobs",
)
"""Folders in the order in which they start; all others come last."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    fixtures: dict[Path, set[str]] = defaultdict(set)
    for item in items:
        fixtures[item.path].update(getattr(item, "fixturenames", ()))
    for item in items:
        shared = (name for name in SHARED if name in fixtures[item.path])
        item.add_marker(pytest.mark.xdist_group(next(shared, item.path.name)))
    items.sort(key=_start)


def _start(item: pytest.Item) -> int:
    starts = (number for number, folder in enumerate(LONGEST) if item.nodeid.startswith(folder))
    return next(starts, len(LONGEST))
