from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from functions.model import load_model
from functions.resolver import resolve
from jobs.registry.gates import MAX_PARITY_DIFFERENCE, HeldOut, VersionMetrics, evaluate_gates, measure
from tests.models import some_rides

CHAMPION = VersionMetrics(rmse=5.2, rmse_without_pickup_time=5.8, microseconds=40, megabytes=1)


def failures(
    candidate: VersionMetrics, champion: VersionMetrics | None = CHAMPION, difference: float | None = 1e-5
) -> list[str]:
    gates = evaluate_gates(candidate, champion, difference, 0.05, gate_error=True)
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
def test_each_gate_fails_on_its_own_measurement(change: dict[str, float], names: list[str]) -> None:
    assert failures(replace(CHAMPION, **change)) == names


def test_onnx_must_agree_with_scikit_learn() -> None:
    assert failures(CHAMPION, difference=MAX_PARITY_DIFFERENCE * 2) == ["ONNX − scikit-learn"]
    assert failures(CHAMPION, difference=float("nan")) == ["ONNX − scikit-learn"]


def test_without_a_champion_the_rmse_is_not_gated() -> None:
    assert failures(replace(CHAMPION, rmse=50), champion=None) == []


def test_what_was_not_measured_neither_fails_nor_passes() -> None:
    unmeasured = replace(CHAMPION, rmse=None, rmse_without_pickup_time=None)
    assert failures(unmeasured, difference=None) == []
    gates = evaluate_gates(unmeasured, CHAMPION, None, 0.05, gate_error=True)
    assert [gate.candidate for gate in gates[:3]] == ["–", "–", "–"]
    assert failures(CHAMPION, champion=unmeasured) == []


def test_a_rollback_shows_its_rmse_ungated() -> None:
    gates = evaluate_gates(replace(CHAMPION, rmse=9), CHAMPION, 0.0, 0.05, gate_error=False)
    assert all(gate.passed for gate in gates)
    assert gates[0].candidate == "9.00000 min"
    assert gates[0].champion == "5.20000 min"


def test_metrics_are_measured_on_the_given_rides(onnx_folder: Path) -> None:
    model = load_model(resolve(str(onnx_folder)))
    rides = some_rides(400)
    exact = measure(model, HeldOut(rides, model.predict(rides)))
    assert exact.rmse == 0
    assert exact.rmse_without_pickup_time is not None
    assert exact.rmse_without_pickup_time >= 0
    assert measure(model, HeldOut(rides, model.predict(rides) + 2)).rmse == pytest.approx(2)
    assert measure(model, None).rmse is None
    assert 0 < exact.microseconds < 100_000
    assert np.isfinite(exact.megabytes)
