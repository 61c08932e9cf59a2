"""The MLflow server as the service starts it: the same words, with a database file in place of Cloud SQL."""

import sys
from pathlib import Path

import pytest
import requests

from jobs.local.processes import Programs, answers
from tests.infra.module import Made


@pytest.fixture
def address(programs: Programs, plain_environment: dict[str, str], made: Made, tmp_path: Path) -> str:
    template = made.of("google_cloud_run_v2_service", "mlflow")["0"]["template"][0]
    (container,) = template["containers"]
    assert container["command"][0] == "python"
    words = [sys.executable, *container["command"][1:], *container["args"]]
    variables = {each["name"]: each["value"] for each in container["env"] if each["value"]}

    def here(port: int) -> list[str]:
        changed = {"--port": str(port), "--backend-store-uri": f"sqlite:///{tmp_path / 'mlflow.db'}"}
        options = (word.partition("=") for word in words)
        return [f"{name}{equals}{changed.get(name, value)}" for name, equals, value in options]

    port = programs.start_on_free_port(
        "MLflow as on the cloud",
        here,
        plain_environment | variables,
        lambda port: answers(
            f"http://127.0.0.1:{port}{container['startup_probe'][0]['http_get'][0]['path']}"
        ),
        60,
    )
    return f"http://127.0.0.1:{port}"


def test_it_answers_under_its_own_name_and_under_no_other(address: str) -> None:
    def status(host: str) -> int:
        where = f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
        return requests.get(where, headers={"Host": host}, timeout=30).status_code

    assert status("ridecast-mlflow-123456789012.us-central1.run.app") == 200
    assert status("ridecast-mlflow-abcdefghij-uc.a.run.app") == 200
    assert status("localhost:8080") == 200, "as `gcloud run services proxy` may ask"
    assert status("other.example.com") == 403
    got = requests.get(
        f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default", timeout=30
    ).json()
    assert got["experiment"]["artifact_location"].startswith("gs://ridecast-test-models/mlflow/")


def test_its_connections_are_no_more_than_the_smallest_database_has(made: Made) -> None:
    template = made.of("google_cloud_run_v2_service", "mlflow")["0"]["template"][0]
    variables = {each["name"]: each["value"] for each in template["containers"][0]["env"]}
    pool = sum(int(variables[f"MLFLOW_SQLALCHEMYSTORE_{part}"]) for part in ("POOL_SIZE", "MAX_OVERFLOW"))
    pools = 2  # of runs and of models
    reserved = 3  # for PostgreSQL's superusers
    assert template["scaling"][0]["max_instance_count"] * pools * pool <= 25 - reserved
