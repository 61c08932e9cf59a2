import io
import time

import numpy as np
import pytest
from rich.console import Console
from sklearn.ensemble import HistGradientBoostingRegressor

from jobs.training.pipeline import one_core_less
from jobs.ui import progress


def grow(console: Console) -> None:
    trees = HistGradientBoostingRegressor(max_iter=30, early_stopping=False)
    with one_core_less(), progress.watching(trees, console):
        trees.fit(np.arange(2000.0).reshape(-1, 1), np.arange(2000.0))
        time.sleep(0.1)


def test_a_terminal_sees_a_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    grow(console)
    assert "30/30" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_file_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.02)
    console = Console(file=io.StringIO())
    grow(console)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "training: 30 of 30 trees after " in written
    assert "\x1b" not in written
