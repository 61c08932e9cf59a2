"""A minimal client of a local Prefect server's REST API.

Importing Prefect's own client takes seconds and creates `~/.prefect`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import requests

FINAL_STATES = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
TIMEOUT_SECONDS = 30


class TimeSpan(NamedTuple):
    """When a task ran, in seconds since 1970."""

    started: float
    ended: float


class PrefectApi:
    """The REST API of a Prefect server.

    Args:
        url: the API's address, as PREFECT_API_URL has it.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def is_served(self, deployment: str) -> bool:
        """Whether the deployment `FLOW/NAME` exists and a process serves it."""
        answer = self._session.get(f"{self._url}/deployments/name/{deployment}", timeout=TIMEOUT_SECONDS)
        return answer.ok and not answer.json()["paused"]

    def start_run(self, deployment: str, **parameters: Any) -> str:
        """Creates a run of the deployment `FLOW/NAME`, as Prefect's UI does; returns the run's id."""
        deployment_id = self.request("GET", f"deployments/name/{deployment}")["id"]
        body = {"parameters": parameters}
        return str(self.request("POST", f"deployments/{deployment_id}/create_flow_run", body)["id"])

    def run_state(self, run_id: str) -> tuple[str, str]:
        """Returns a run's state type, see `FINAL_STATES`, and its description."""
        run = self.request("GET", f"flow_runs/{run_id}")
        return run["state_type"], f"{run['state']['name']} {run['state']['message'] or ''}".strip()

    def task_spans(self, run_id: str) -> dict[str, TimeSpan]:
        """Returns when each finished task of a run ran, by the task's name, in order."""
        tasks = self.request("POST", "task_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
        spans = {
            task["name"].rpartition("-")[0]: TimeSpan(
                _timestamp(task["start_time"]), _timestamp(task["end_time"])
            )
            for task in tasks
            if task["end_time"]
        }
        return dict(sorted(spans.items(), key=lambda item: item[1]))

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Returns the JSON response to one API call."""
        answer = self._session.request(method, f"{self._url}/{path}", json=body, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        return answer.json()


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
