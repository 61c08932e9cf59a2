"""Which test files start first when pytest-xdist spreads them over workers (`--dist loadfile`).

A file stays on one worker, which starts the emulators and trains the models that its own tests need. What
takes longest starts first, so that no worker is left alone with it at the end.
"""

import pytest

LONGEST = (
    "tests/end_to_end",
    "tests/integration",
    "tests/faults",
    "tests/examples",
    "tests/infra",
    "tests/jobs",
)
"""Folders in the order in which they start; all others come last."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_start)


def _start(item: pytest.Item) -> int:
    starts = (number for number, folder in enumerate(LONGEST) if item.nodeid.startswith(folder))
    return next(starts, len(LONGEST))
