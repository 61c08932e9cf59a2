import io
import time

import numpy as np
import pytest
from rich.console import Console
from sklearn.ensemble import HistGradientBoostingRegressor

from jobs.training.pipeline import limit_threads
from jobs.ui import progress


def fit(console: Console) -> None:
    model = HistGradientBoostingRegressor(max_iter=30, early_stopping=False)
    with limit_threads(), progress.training_progress(model, console):
        model.fit(np.arange(2000.0).reshape(-1, 1), np.arange(2000.0))
        time.sleep(0.1)


def test_a_terminal_sees_a_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    fit(console)
    assert "30/30" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_file_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.02)
    console = Console(file=io.StringIO())
    fit(console)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "training: 30 of 30 trees after " in written
    assert "\x1b" not in written


def test_a_bar_that_counts_prints_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(progress.time, "monotonic", iter([0.0, 2.0, 4.0]).__next__)
    console = Console(file=io.StringIO(), width=80)
    with progress.progress_bar("scoring", 6000, "rows", console) as update:
        update(0)
        update(2000)
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "scoring: 0 of 6,000 rows, 0 rows/s, 12000 s to go",
        "scoring: 2,000 of 6,000 rows, 500 rows/s, 8 s to go",
    ]
