"""The flows that a local Prefect server runs: asked for, looked at."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import requests

ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
ANSWER_SECONDS = 30


class Span(NamedTuple):
    """When a task ran, in seconds since 1970."""

    began: float
    ended: float


class Flows:
    """A Prefect server's flows.

    Args:
        address: of its API, which PREFECT_API_URL names.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._session = requests.Session()
        self._session.trust_env = False

    def served(self, deployment: str) -> bool:
        """Whether a deployment, `FLOW/NAME`, is known and somebody serves it."""
        answer = self._session.get(f"{self._address}/deployments/name/{deployment}", timeout=ANSWER_SECONDS)
        return answer.ok and not answer.json()["paused"]

    def start(self, deployment: str, **parameters: Any) -> str:
        """Asks for a run, as Prefect's own pages do: its id."""
        found = self.ask("GET", f"deployments/name/{deployment}")
        made = self.ask("POST", f"deployments/{found['id']}/create_flow_run", {"parameters": parameters})
        return str(made["id"])

    def state(self, run: str) -> tuple[str, str]:
        """A run's state: its type, see `ENDED`, and what Prefect says of it."""
        found = self.ask("GET", f"flow_runs/{run}")
        return found["state_type"], f"{found['state']['name']} {found['state']['message'] or ''}".strip()

    def spans(self, run: str) -> dict[str, Span]:
        """The run's finished tasks, in their order."""
        found = self.ask("POST", "task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        spans = {
            each["name"].rpartition("-")[0]: Span(_seconds(each["start_time"]), _seconds(each["end_time"]))
            for each in found
            if each["end_time"]
        }
        return dict(sorted(spans.items(), key=lambda item: item[1]))

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What the server says to one call of its API."""
        answer = self._session.request(method, f"{self._address}/{path}", json=body, timeout=ANSWER_SECONDS)
        answer.raise_for_status()
        return answer.json()


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
