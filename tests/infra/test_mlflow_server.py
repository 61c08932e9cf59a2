"""Starts the MLflow server with the service's own arguments, and a database file in place of Cloud SQL."""

import sys
from pathlib import Path

import pytest
import requests

from jobs.local.processes import ProcessGroup, responds
from tests.infra.module import AppliedState


@pytest.fixture
def address(
    programs: ProcessGroup, plain_environment: dict[str, str], state: AppliedState, tmp_path: Path
) -> str:
    template = state.of("google_cloud_run_v2_service", "mlflow")["0"]["template"][0]
    (container,) = template["containers"]
    assert container["command"][0] == "python"
    command = [sys.executable, *container["command"][1:], *container["args"]]
    variables = {each["name"]: each["value"] for each in container["env"] if each["value"]}

    def local_command(port: int) -> list[str]:
        local = {"--port": str(port), "--backend-store-uri": f"sqlite:///{tmp_path / 'mlflow.db'}"}
        options = (word.partition("=") for word in command)
        return [f"{name}{equals}{local.get(name, value)}" for name, equals, value in options]

    port = programs.start_on_free_port(
        "MLflow as on the cloud",
        local_command,
        plain_environment | variables,
        lambda port: responds(
            f"http://127.0.0.1:{port}{container['startup_probe'][0]['http_get'][0]['path']}"
        ),
        60,
    )
    return f"http://127.0.0.1:{port}"


def test_only_the_service_s_own_host_names_are_accepted(address: str) -> None:
    def status(host: str) -> int:
        url = f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
        return requests.get(url, headers={"Host": host}, timeout=30).status_code

    assert status("ridecast-mlflow-123456789012.us-central1.run.app") == 200
    assert status("ridecast-mlflow-abcdefghij-uc.a.run.app") == 200
    assert status("localhost:8080") == 200, "as `gcloud run services proxy` may send it"
    assert status("other.example.com") == 403
    answer = requests.get(
        f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default", timeout=30
    ).json()
    assert answer["experiment"]["artifact_location"].startswith("gs://ridecast-test-models/mlflow/")


def test_its_connections_fit_the_smallest_database(state: AppliedState) -> None:
    template = state.of("google_cloud_run_v2_service", "mlflow")["0"]["template"][0]
    variables = {each["name"]: each["value"] for each in template["containers"][0]["env"]}
    pool = sum(int(variables[f"MLFLOW_SQLALCHEMYSTORE_{part}"]) for part in ("POOL_SIZE", "MAX_OVERFLOW"))
    pools = 2  # of runs and of models
    reserved = 3  # for PostgreSQL's superusers
    assert template["scaling"][0]["max_instance_count"] * pools * pool <= 25 - reserved
