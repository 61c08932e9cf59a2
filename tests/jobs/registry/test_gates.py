from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from functions.model import load_model
from functions.resolver import resolve
from jobs.registry.gates import LARGEST_DIFFERENCE, Measures, judge, measure
from tests.models import some_rides

CHAMPION = Measures(rmse=5.2, rmse_without_pickup_time=5.8, microseconds=40, megabytes=1)


def closed(candidate: Measures, champion: Measures | None = CHAMPION, difference: float = 1e-5) -> list[str]:
    gates = judge(candidate, champion, difference, 0.05, gate_error=True)
    return [gate.name for gate in gates if not gate.passed]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, []),
        ({"rmse": 5.24}, []),
        ({"rmse": 5.26}, ["RMSE"]),
        ({"rmse": float("nan")}, ["RMSE"]),
        ({"rmse_without_pickup_time": 5.9}, ["RMSE without pick-up time"]),
        ({"microseconds": 900}, ["one ride"]),
        ({"megabytes": 30}, ["size"]),
    ],
)
def test_what_closes_which_gate(change: dict[str, float], names: list[str]) -> None:
    assert closed(replace(CHAMPION, **change)) == names


def test_onnx_must_be_scikit_learn() -> None:
    assert closed(CHAMPION, difference=LARGEST_DIFFERENCE * 2) == ["ONNX − scikit-learn"]
    assert closed(CHAMPION, difference=float("nan")) == ["ONNX − scikit-learn"]


def test_the_first_champion_has_nobody_to_beat() -> None:
    assert closed(replace(CHAMPION, rmse=50), champion=None) == []


def test_a_roll_back_shows_its_error_without_asking_for_it() -> None:
    gates = judge(replace(CHAMPION, rmse=9), CHAMPION, 0.0, 0.05, gate_error=False)
    assert all(gate.passed for gate in gates)
    assert gates[0].candidate == "9.00000 min"
    assert gates[0].champion == "5.20000 min"


def test_figures_are_measured_on_the_rides_that_are_given(onnx_folder: Path) -> None:
    model = load_model(resolve(str(onnx_folder)))
    rides = some_rides(400)
    exact = measure(model, rides, model.predict(rides))
    assert exact.rmse == 0
    assert exact.rmse_without_pickup_time >= 0
    assert measure(model, rides, model.predict(rides) + 2).rmse == pytest.approx(2)
    assert 0 < exact.microseconds < 100_000
    assert np.isfinite(exact.megabytes)
