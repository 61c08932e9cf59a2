"""The real parts, started once for the session on free ports and stopped after it."""

import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.local.emulators import (
    BUCKET,
    START_SECONDS,
    PubSubEmulator,
    PubSubUnavailable,
    start_mlflow,
    start_prefect,
    start_pubsub,
    start_storage,
)
from jobs.local.processes import ProcessGroup, responds
from jobs.local.topics import Topics

PROJECT = "ridecast-test"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cloud")


@pytest.fixture(scope="session")
def programs(folder: Path) -> Iterator[ProcessGroup]:
    (folder / "logs").mkdir()
    programs = ProcessGroup(folder / "logs")
    yield programs
    programs.close()


@pytest.fixture(scope="session")
def plain_environment(folder: Path) -> dict[str, str]:
    """This process's own environment, without what names another cloud."""
    foreign = ("MODEL_", "MLFLOW_", "PREFECT_", "AIP_", "FUNCTION_", "STORAGE_EMULATOR", "PYTHONDONTWRITE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"TMPDIR": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true"}


@pytest.fixture(scope="session")
def storage(programs: ProcessGroup, folder: Path, plain_environment: dict[str, str]) -> str:
    """Address of a Cloud Storage emulator that holds `BUCKET`."""
    return start_storage(programs, folder, plain_environment)


@pytest.fixture(scope="session")
def mlflow_server(
    programs: ProcessGroup, folder: Path, plain_environment: dict[str, str], storage: str
) -> str:
    """Address of an MLflow server that keeps its artifacts in `BUCKET`."""
    return start_mlflow(programs, folder, plain_environment | {"STORAGE_EMULATOR_HOST": storage})


@pytest.fixture(scope="session")
def default_mlflow_server(programs: ProcessGroup, folder: Path, plain_environment: dict[str, str]) -> str:
    """Address of an MLflow server without any option, which serves its artifacts itself."""
    store = folder / "default_mlflow"
    store.mkdir()
    return programs.start_http_server(
        "Default MLflow server",
        lambda port: [
            *(sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"),
            *(f"--backend-store-uri=sqlite:///{store / 'mlflow.db'}", f"--artifacts-destination={store}"),
        ],
        plain_environment | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        "/health",
        START_SECONDS,
    )


@pytest.fixture(scope="session")
def pubsub(programs: ProcessGroup, folder: Path, plain_environment: dict[str, str]) -> PubSubEmulator:
    found = start_pubsub(programs, folder, plain_environment)
    if isinstance(found, PubSubUnavailable):
        pytest.skip(f"no Pub/Sub emulator: {found.reason}")
    return found


@pytest.fixture(scope="session")
def prefect_environment(
    programs: ProcessGroup, folder: Path, plain_environment: dict[str, str]
) -> dict[str, str]:
    """What Prefect's clients need to know of a server of Prefect, which is started."""
    environment = plain_environment | {
        "PREFECT_HOME": str(folder / "prefect"),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_ENABLED": "false",
        # It looks for new schedules once a second, and its clients for due runs.
        "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        # A flow run that is due soon has its process already, which takes seconds of a core.
        "PREFECT_RUNNER_PROCESS_LIMIT": "1",
    }
    return environment | {"PREFECT_API_URL": start_prefect(programs, folder, environment)}


@pytest.fixture
def topics(pubsub: PubSubEmulator) -> Iterator[Topics]:
    """Topics and subscriptions of this test's own."""
    topics = Topics(pubsub.host, f"ridecast-{uuid.uuid4().hex[:8]}")
    topics.create()
    yield topics
    topics.delete()


@pytest.fixture
def in_cloud(
    monkeypatch: pytest.MonkeyPatch, storage: str, mlflow_server: str, pubsub: PubSubEmulator
) -> None:
    """Lets Google's and MLflow's clients in this process find the emulators."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    monkeypatch.setenv("MODEL_BUCKET", f"gs://{BUCKET}")


@pytest.fixture(scope="session")
def start_function(programs: ProcessGroup, plain_environment: dict[str, str], storage: str) -> "Starter":
    return Starter(programs, plain_environment | {"STORAGE_EMULATOR_HOST": storage})


class Starter:
    """Starts a function with functions-framework, as a person would."""

    def __init__(self, programs: ProcessGroup, environment: dict[str, str]) -> None:
        self._programs = programs
        self._environment = environment

    def __call__(self, target: str, **settings: str) -> str:
        """Returns its address when it answers; `settings` are environment variables."""
        framework = str(Path(sys.executable).with_name("functions-framework"))
        port = self._programs.start_on_free_port(
            target,
            lambda port: [framework, f"--target={target}", "--host=127.0.0.1", f"--port={port}"],
            self._environment | settings,
            lambda port: responds(f"http://127.0.0.1:{port}/health"),
            180,
        )
        return f"http://127.0.0.1:{port}"
