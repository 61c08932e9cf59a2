"""What a run came to, in the few numbers that matter."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import requests

from functions.releases import Release
from functions.resolver import resolve
from jobs.local.ledger import nearest_rank
from jobs.local.replay_rides import Asked, Replayed
from jobs.local.screen import Outcome
from jobs.settings import ALIAS, MODEL_NAME


@dataclass(frozen=True)
class Champion:
    """The model in service, and what its MLflow run measured."""

    release: Release
    metrics: dict[str, float]


def read_champion(mlflow: str) -> Champion:
    """Asks the MLflow server at this address for the champion and its run."""
    release = resolve(f"models:/{MODEL_NAME}@{ALIAS}", mlflow)
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(
            f"{mlflow}/api/2.0/mlflow/runs/get", params={"run_id": release.run_id}, timeout=30
        )
    answer.raise_for_status()
    data: dict[str, Any] = answer.json()["run"]["data"]
    return Champion(release, {each["key"]: each["value"] for each in data["metrics"]})


def read_handling(log: Path) -> list[float]:
    """Milliseconds that the function says it had each predicted event in its hands."""
    events = [msgspec.json.decode(line) for line in log.read_bytes().splitlines() if line.startswith(b"{")]
    return [event["latency_ms"] for event in events if event.get("outcome") == "predicted"]


@dataclass(frozen=True)
class Summary:
    """Everything a run is judged by."""

    replayed: Replayed
    asked: Asked
    handling: Sequence[float]
    """Milliseconds of each event in the function's hands."""
    champion: Champion
    through_pubsub: bool
    seconds: float
    """The whole run."""

    @property
    def good(self) -> bool:
        """Nothing lost, and HTTP agrees with Pub/Sub in every ride."""
        asked = self.asked
        return self.replayed.ledger.lost == 0 and asked.equal == asked.rides > 0

    def rows(self) -> list[tuple[str, str]]:
        """Each number under its name."""
        ledger, asked, release = self.replayed.ledger, self.asked, self.champion.release
        metrics = self.champion.metrics
        way = (
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
            ("latency", f"p50 {_ms(ledger.percentile(50))}, p99 {_ms(ledger.percentile(99))} from {way}"),
            (
                "function",
                f"p50 {nearest_rank(self.handling, 50):.1f} ms, p99 {nearest_rank(self.handling, 99):.1f} ms "
                f"of that, event in to prediction confirmed; first event, all cold, "
                f"{_ms(self.replayed.first_seconds)}",
            ),
            ("http", f"{asked.rides} asked, {asked.answered} answered, {asked.equal} equal to the last bit"),
            ("mlflow", f"run {release.run_id}, on a server that ended with this run; make up keeps it"),
            ("time", f"{self.seconds:.0f} s"),
        ]

    def title(self) -> str:
        """The outcome in a line."""
        ledger = self.replayed.ledger
        return f"{ledger.sent} ride events in, {len(ledger.predicted)} predictions out, {ledger.lost} lost"

    def outcome(self) -> Outcome:
        """All of it, to be shown."""
        return Outcome(self.title(), self.rows(), self.good)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
