"""Starts local stand-ins for cloud services: Pub/Sub, Cloud Storage, MLflow and Prefect servers.

The functions raise ServiceFailed if a server does not respond in time.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gcp_storage_emulator.settings import STORAGE_DIR

from jobs.local.processes import ProcessGroup, ServiceFailed, responds

INSTALL_PUBSUB = "gcloud components install pubsub-emulator beta"
"""Installs Google's Pub/Sub emulator, which needs Java."""
PUBSUB_IMAGE = "gcr.io/google.com/cloudsdktool/google-cloud-cli:emulators"
BUCKET = "ridecast-models"
PROJECT = "ridecast-local"

START_SECONDS = 180.0
"""Enough for a busy laptop; the slowest service, MLflow, needs 5 to 12."""
PULL_SECONDS = 600.0
"""Time to pull the image, which is over a gigabyte."""


class PubSubEmulator(NamedTuple):
    """A running Pub/Sub emulator."""

    host: str
    """`address:port`, as for PUBSUB_EMULATOR_HOST."""
    source: str
    """Where it comes from, to be shown."""
    callback_host: str = "127.0.0.1"
    """This machine's host name as the emulator sees it, for push subscriptions."""


class PubSubUnavailable(NamedTuple):
    """No Pub/Sub emulator can be started."""

    reason: str


def start_pubsub(
    processes: ProcessGroup, folder: Path, environment: Mapping[str, str]
) -> PubSubEmulator | PubSubUnavailable:
    """Uses the emulator of PUBSUB_EMULATOR_HOST, else starts gcloud's, else the one in Google's image.

    Args:
        folder: existing folder for the emulator's data and gcloud's configuration.

    Raises:
        ServiceFailed: the emulator that PUBSUB_EMULATOR_HOST names does not respond.
    """
    if host := environment.get("PUBSUB_EMULATOR_HOST"):
        if not responds(f"http://{host}"):
            raise ServiceFailed("Pub/Sub emulator", f"PUBSUB_EMULATOR_HOST={host} does not respond")
        return PubSubEmulator(host, "PUBSUB_EMULATOR_HOST")
    path = environment.get("PATH")
    if gcloud := _gcloud_with_emulator(path):
        try:
            return _start_with_gcloud(gcloud, processes, folder, environment)
        except ServiceFailed as failure:
            reason = f"gcloud's emulator does not start ({last_line(failure.log)})"
    else:
        reason = "gcloud with its Pub/Sub emulator is not installed"
    docker = shutil.which("docker", path=path)
    if docker and _docker_responds(docker, environment):
        return _start_with_docker(docker, processes, environment)
    return PubSubUnavailable(f"{reason}, and Docker is not running")


def _gcloud_with_emulator(path: str | None) -> str | None:
    """Returns gcloud's path if it has the emulator; running gcloud takes a second and may install it."""
    gcloud = shutil.which("gcloud", path=path)
    if gcloud is None:
        return None
    sdk = Path(gcloud).resolve().parents[1]
    return gcloud if (sdk / "platform" / "pubsub-emulator").is_dir() else None


def _start_with_gcloud(
    gcloud: str, processes: ProcessGroup, folder: Path, environment: Mapping[str, str]
) -> PubSubEmulator:
    data = folder / "pubsub"
    data.mkdir(exist_ok=True)
    java = (
        # Starts fast, uses little memory and leaves nothing in the system's temporary folder.
        f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData -Djava.io.tmpdir={folder}"
    )
    url = processes.start_http_server(
        "Pub/Sub emulator",
        lambda port: [
            *(gcloud, "beta", "emulators", "pubsub", "start", "--quiet"),
            *(f"--host-port=127.0.0.1:{port}", f"--data-dir={data}", f"--project={PROJECT}"),
        ],
        {
            **environment,
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
            "JAVA_OPTS": f"{environment.get('JAVA_OPTS', '')} {java}",
        },
        "/",
        START_SECONDS,
    )
    return PubSubEmulator(url.removeprefix("http://"), "gcloud")


def _docker_responds(docker: str, environment: Mapping[str, str]) -> bool:
    try:
        result = subprocess.run(
            [docker, "version", "--format", "{{.Server.Version}}"],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0


def _start_with_docker(
    docker: str, processes: ProcessGroup, environment: Mapping[str, str]
) -> PubSubEmulator:
    url = processes.start_http_server(
        "Pub/Sub emulator",
        lambda port: [
            # --init: without it, the container's first process ignores SIGTERM.
            *(docker, "run", "--rm", "--init", f"--publish=127.0.0.1:{port}:8085"),
            *("--add-host=host.docker.internal:host-gateway", PUBSUB_IMAGE),
            *("gcloud", "beta", "emulators", "pubsub", "start", "--quiet"),
            *("--host-port=0.0.0.0:8085", f"--project={PROJECT}"),
        ],
        environment,
        "/",
        PULL_SECONDS,
    )
    return PubSubEmulator(url.removeprefix("http://"), "Google's image", "host.docker.internal")


def start_storage(processes: ProcessGroup, folder: Path, environment: Mapping[str, str]) -> str:
    """Starts a Cloud Storage emulator with `BUCKET`; returns its URL for STORAGE_EMULATOR_HOST."""
    return processes.start_http_server(
        "Storage emulator",
        lambda port: [
            *(sys.executable, "-m", "gcp_storage_emulator", f"--data-dir={folder / 'storage'}"),
            *("start", "--host=127.0.0.1", f"--port={port}", f"--default-bucket={BUCKET}"),
            "--quiet",
        ],
        environment,
        f"/storage/v1/b/{BUCKET}",
        START_SECONDS,
    )


def object_path(folder: Path, uri: str) -> Path:
    """The path where `start_storage` keeps the object, or the folder of objects, with a `gs://` URI."""
    return folder / "storage" / Path(str(STORAGE_DIR)) / uri.removeprefix("gs://")


def start_mlflow(processes: ProcessGroup, folder: Path, environment: Mapping[str, str]) -> str:
    """Starts an MLflow server that keeps artifacts in `BUCKET`; returns its URL.

    Args:
        environment: includes the STORAGE_EMULATOR_HOST of the bucket.
    """
    return processes.start_http_server(
        "MLflow server",
        lambda port: [
            *(sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}"),
            *("--workers=1", f"--backend-store-uri=sqlite:///{folder / 'mlflow.db'}"),
            f"--default-artifact-root=gs://{BUCKET}/mlflow",
        ],
        {
            **environment,
            # These features are not used, and would take eight more processes and twice the time to start.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        "/health",
        START_SECONDS,
    )


def start_prefect(processes: ProcessGroup, folder: Path, environment: Mapping[str, str]) -> str:
    """Starts a Prefect server whose data is in `folder`; returns its API URL for PREFECT_API_URL."""
    url = processes.start_http_server(
        "Prefect server",
        lambda port: [
            *(sys.executable, "-m", "prefect", "server", "start"),
            *("--host=127.0.0.1", f"--port={port}"),
        ],
        {**environment, "PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
        "/api/health",
        START_SECONDS,
    )
    return f"{url}/api"


def last_line(log: Path | None) -> str:
    """Returns the last line of output, usually the reason why a process ended."""
    lines = log.read_text(errors="replace").split("\n") if log and log.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")
