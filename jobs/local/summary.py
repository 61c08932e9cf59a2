"""The summary of a run: a handful of figures, and whether the run was a success."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import requests

from functions.mlflow_client import TrackingServer
from functions.releases import Release
from functions.resolver import resolve
from jobs.local.ledger import nearest_rank
from jobs.local.replay_rides import HttpComparison, ReplayResult
from jobs.local.screen import SummaryPanel
from jobs.settings import ALIAS, MODEL_NAME
from jobs.ui.text import count


@dataclass(frozen=True)
class ServedModel:
    """The model that is served, and its MLflow run."""

    release: Release
    metrics: dict[str, float]
    experiment_id: str = ""


def read_champion(mlflow: str) -> ServedModel:
    """Reads the champion and its run's metrics from the MLflow server at the URL `mlflow`."""
    release = resolve(f"models:/{MODEL_NAME}@{ALIAS}", TrackingServer(mlflow))
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(
            f"{mlflow}/api/2.0/mlflow/runs/get", params={"run_id": release.run_id}, timeout=30
        )
    answer.raise_for_status()
    run: dict[str, Any] = answer.json()["run"]
    metrics = {each["key"]: each["value"] for each in run["data"]["metrics"]}
    return ServedModel(release, metrics, run["info"]["experiment_id"])


def read_handling_times(log: Path) -> list[float]:
    """Reads from the function's log how many milliseconds it took to handle each predicted event."""
    events = [msgspec.json.decode(line) for line in log.read_bytes().splitlines() if line.startswith(b"{")]
    return [event["latency_ms"] for event in events if event.get("outcome") == "predicted"]


@dataclass(frozen=True)
class RunSummary:
    """The results of a run."""

    replayed: ReplayResult
    comparison: HttpComparison
    handling_ms: Sequence[float]
    """Milliseconds for which the function handled each event."""
    model: ServedModel
    through_pubsub: bool

    @property
    def success(self) -> bool:
        """Nothing was lost, and HTTP gives exactly the same predictions as Pub/Sub."""
        comparison = self.comparison
        return self.replayed.ledger.lost == 0 and comparison.equal == comparison.rides > 0

    def rows(self, seconds: float) -> list[tuple[str, str]]:
        """Returns names and values of the figures; `seconds` is how long the whole run took."""
        ledger, comparison, release = self.replayed.ledger, self.comparison, self.model.release
        metrics = self.model.metrics
        measured = (
            "publish call to the prediction's publish time; the emulator pushes only every 100 ms"
            if self.through_pubsub
            else "posting an event to reading its prediction in the file"
        )
        return [
            ("model", f"{release.name} version {', '.join(ledger.versions)}"),
            (
                "error",
                f"{metrics['rmse']:.3f} min RMSE on {metrics['rides_held_out']:,.0f} held-out rides, "
                f"{metrics['rmse_without_pickup_time']:.3f} without their pick-up time",
            ),
            (
                "events",
                f"{ledger.sent} in, {len(ledger.predicted)} predicted, {len(ledger.dead)} dead-lettered, "
                f"{ledger.lost} lost, {ledger.duplicates} delivered again",
            ),
            (
                "latency",
                f"p50 {_ms(ledger.percentile(50))}, p99 {_ms(ledger.percentile(99))} from {measured}",
            ),
            (
                "function",
                f"p50 {nearest_rank(self.handling_ms, 50):.1f} ms, "
                f"p99 {nearest_rank(self.handling_ms, 99):.1f} ms of that, from receiving an event until its "
                f"prediction is acknowledged; first event, cold, {_ms(self.replayed.first_seconds)}",
            ),
            (
                "http",
                f"{comparison.rides} sent, {comparison.answered} answered, {comparison.equal} bit-identical",
            ),
            ("mlflow", f"run {release.run_id}, on a server that ended with this run; make up keeps it"),
            ("time", f"{seconds:.0f} s"),
        ]

    def panel(self, seconds: float) -> SummaryPanel:
        """Returns the summary to be shown; `seconds` is how long the whole run took."""
        ledger = self.replayed.ledger
        events, predictions = count(ledger.sent, "ride event"), count(len(ledger.predicted), "prediction")
        title = f"{events} in, {predictions} out, {ledger.lost} lost"
        return SummaryPanel(title, self.rows(seconds), self.success)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
