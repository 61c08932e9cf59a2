"""Evaluates a candidate and the champion on the same held-out rides, and prints the gates as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from functions.errors import RidecastError
from functions.mlmodel import DURATION
from functions.model import Model, load_model
from functions.releases import Release
from jobs.registry.gates import UNKNOWN, Gate, HeldOut, evaluate_gates, measure
from jobs.registry.model_versions import HELD_OUT, ModelRegistry
from jobs.registry.release_pointer import artifact_server
from jobs.settings import ALIAS
from jobs.trips.cleaning import clean_trips, read_trips
from jobs.trips.records import to_ride_columns
from jobs.ui.text import count

HELD_OUT_GATE = "held-out rides"
_COLUMNS = ("PULocationID", "DOLocationID", "trip_distance", "pickup_datetime", "duration")


class CannotEvaluate(RidecastError):
    """The held-out rides do not suit the model, or cannot be used."""


@dataclass(frozen=True)
class Evaluator:
    """Evaluates versions of one registered model.

    Args:
        held_out: files of trips; if empty, the rides that the candidate's training run held out.
        tolerance: minutes by which the RMSE may exceed the champion's.
        allow_pickle: whether pickled models may run their code.
    """

    registry: ModelRegistry
    held_out: Sequence[str]
    tolerance: float
    allow_pickle: bool

    def evaluate(self, release: Release, console: Console) -> list[Gate]:
        """Evaluates all gates for a candidate and prints them.

        Raises:
            CannotEvaluate: there is no usable ride among the held-out ones.
            RidecastError: the candidate cannot be loaded, or fails.
        """
        version, champion = int(release.version), self.registry.version_by_alias(ALIAS)
        model = self._load(release)
        held_out = self._held_out(release, model)
        reference, reference_error = None, ""
        if champion is not None and champion != version:
            try:
                reference = measure(self._load(self.registry.release(champion)), held_out)
            except RidecastError as error:
                reference_error = str(error)
        is_rollback = version != champion and self.registry.was_promoted(version)
        gates = evaluate_gates(
            measure(model, held_out),
            reference,
            self._parity_difference(release, model, held_out),
            self.tolerance,
            gate_error=not is_rollback,
        )
        if held_out is None:
            gates.append(Gate(HELD_OUT_GATE, "none", "–", "some", passed=False))
        if reference_error:
            gates.append(Gate("champion can be judged", "–", "no", "yes", passed=False))
            console.print(f"version {champion} cannot be evaluated: {reference_error}", markup=False)
        rides = f"on {count(len(held_out.minutes), 'held-out ride')}" if held_out else "untested"
        title = f"version {version} {rides}{' (roll-back)' if is_rollback else ''}"
        console.print(_table(title, gates, version, champion))
        return gates

    def _load(self, release: Release) -> Model:
        return load_model(release, allow_pickle=self.allow_pickle, server=artifact_server(release))

    def _held_out(self, release: Release, model: Model) -> HeldOut | None:
        if not self.held_out:
            frame = self.registry.held_out(release)
            if frame is None:
                return None
            if missing := [name for name in _COLUMNS if name not in frame]:
                raise CannotEvaluate(
                    f"{HELD_OUT} of run {release.run_id} has no column {', '.join(missing)}: give rides with "
                    "--held-out"
                )
            return _columns(frame)
        if (target := model.target.of_rides().target) != DURATION:
            raise CannotEvaluate(
                f"the model predicts {target}, but trips tell durations only: leave out --held-out"
            )
        clean = clean_trips(read_trips(self.held_out)).trips
        if clean.empty:
            raise CannotEvaluate(
                f"no ride of {', '.join(self.held_out)} has two known zones and took 1 to 60 minutes: give "
                "another month"
            )
        return _columns(clean)

    def _parity_difference(self, release: Release, model: Model, held_out: HeldOut | None) -> float | None:
        """Largest difference between ONNX and scikit-learn, in minutes; None if the run has not both."""
        counterpart = self.registry.scikit_learn(release) if held_out else None
        if held_out is None or counterpart is None:
            return None
        difference = model.predict(held_out.rides) - counterpart.predict(held_out.rides)
        return float(np.abs(difference).max())


def _columns(frame: pd.DataFrame) -> HeldOut:
    return HeldOut(to_ride_columns(frame), frame["duration"].to_numpy(np.float64))


def _table(title: str, gates: Sequence[Gate], version: int, champion: int | None) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("gate")
    for heading in (f"version {version}", f"champion {champion or '–'}", "threshold"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for gate in gates:
        measured = "[green]✓[/]" if gate.candidate != UNKNOWN else UNKNOWN
        mark = measured if gate.passed else "[red]✗[/]"
        table.add_row(gate.name, gate.candidate, gate.champion, gate.threshold, mark)
    return table
