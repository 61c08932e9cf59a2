"""The parts of the cloud on this machine: Pub/Sub, Cloud Storage and an MLflow server."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jobs.local.processes import PartFailed, Programs, answers

INSTALL_PUBSUB = "gcloud components install pubsub-emulator beta"
"""What a person types to get Google's Pub/Sub emulator; it runs on Java."""
PUBSUB_IMAGE = "gcr.io/google.com/cloudsdktool/google-cloud-cli:emulators"
BUCKET = "ridecast-models"
PROJECT = "ridecast-local"

START_SECONDS = 90.0
"""For a laptop with its hands full; the slowest part, MLflow, needs 5 to 12."""
PULL_SECONDS = 600.0
"""The image with the emulators is over a gigabyte."""


class PubSub(NamedTuple):
    """A Pub/Sub emulator."""

    host: str
    """`address:port`, as PUBSUB_EMULATOR_HOST wants it."""
    source: str
    """How we came by it, for the screen."""
    reaches_us_at: str = "127.0.0.1"
    """The name under which the emulator finds this machine when it pushes."""


class NoPubSub(NamedTuple):
    """There is no Pub/Sub emulator to be had."""

    why: str


def start_pubsub(programs: Programs, folder: Path, environment: Mapping[str, str]) -> PubSub | NoPubSub:
    """The emulator of PUBSUB_EMULATOR_HOST; else gcloud's; else that in Google's image.

    Args:
        folder: existing, takes the emulator's data and gcloud's own configuration.

    Raises:
        PartFailed: PUBSUB_EMULATOR_HOST names an emulator that does not answer.
    """
    given = environment.get("PUBSUB_EMULATOR_HOST")
    if given:
        if not answers(f"http://{given}"):
            raise PartFailed("Pub/Sub emulator", f"PUBSUB_EMULATOR_HOST={given} does not answer")
        return PubSub(given, "PUBSUB_EMULATOR_HOST")
    path = environment.get("PATH")
    if gcloud := _gcloud_with_emulator(path):
        try:
            return _start_with_gcloud(gcloud, programs, folder, environment)
        except PartFailed as failure:
            why = f"gcloud's emulator does not start ({last_line(failure.log)})"
    else:
        why = "gcloud with its Pub/Sub emulator is not installed"
    docker = shutil.which("docker", path=path)
    if docker and _engine_answers(docker, environment):
        return _start_with_docker(docker, programs, environment)
    return NoPubSub(f"{why}, and no Docker engine answers")


def _gcloud_with_emulator(path: str | None) -> str | None:
    """Where gcloud is, if its Pub/Sub emulator is installed: asking gcloud itself takes a second,
    and one without it would install it, unasked."""
    gcloud = shutil.which("gcloud", path=path)
    if gcloud is None:
        return None
    sdk = Path(gcloud).resolve().parents[1]
    return gcloud if (sdk / "platform" / "pubsub-emulator").is_dir() else None


def _start_with_gcloud(
    gcloud: str, programs: Programs, folder: Path, environment: Mapping[str, str]
) -> PubSub:
    data = folder / "pubsub"
    data.mkdir(exist_ok=True)
    java = (
        # Fast to start, small, and nothing left in the machine's temporary folder.
        f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData -Djava.io.tmpdir={folder}"
    )
    port = programs.start_on_free_port(
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
        _pubsub_answers,
        START_SECONDS,
    )
    return PubSub(f"127.0.0.1:{port}", "gcloud")


def _engine_answers(docker: str, environment: Mapping[str, str]) -> bool:
    try:
        asked = subprocess.run(
            [docker, "version", "--format", "{{.Server.Version}}"],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _start_with_docker(docker: str, programs: Programs, environment: Mapping[str, str]) -> PubSub:
    port = programs.start_on_free_port(
        "Pub/Sub emulator",
        lambda port: [
            # --init: the first process of a container passes over SIGTERM unless told otherwise.
            *(docker, "run", "--rm", "--init", f"--publish=127.0.0.1:{port}:8085"),
            *("--add-host=host.docker.internal:host-gateway", PUBSUB_IMAGE),
            *("gcloud", "beta", "emulators", "pubsub", "start", "--quiet"),
            *("--host-port=0.0.0.0:8085", f"--project={PROJECT}"),
        ],
        environment,
        _pubsub_answers,
        PULL_SECONDS,
    )
    return PubSub(f"127.0.0.1:{port}", "Google's image", "host.docker.internal")


def _pubsub_answers(port: int) -> bool:
    return answers(f"http://127.0.0.1:{port}")


def start_storage(programs: Programs, folder: Path, environment: Mapping[str, str]) -> str:
    """A Cloud Storage emulator that holds `BUCKET`; returns its address for STORAGE_EMULATOR_HOST.

    Raises:
        PartFailed: it does not answer.
    """
    port = programs.start_on_free_port(
        "Storage emulator",
        lambda port: [
            *(sys.executable, "-m", "gcp_storage_emulator", f"--data-dir={folder / 'storage'}"),
            *("start", "--host=127.0.0.1", f"--port={port}", f"--default-bucket={BUCKET}"),
            "--quiet",
        ],
        environment,
        lambda port: answers(f"http://127.0.0.1:{port}/storage/v1/b/{BUCKET}"),
        START_SECONDS,
    )
    return f"http://127.0.0.1:{port}"


def start_mlflow(programs: Programs, folder: Path, environment: Mapping[str, str]) -> str:
    """An MLflow server that keeps artifacts in `BUCKET`; returns its address.

    Args:
        environment: with the STORAGE_EMULATOR_HOST where the bucket is.

    Raises:
        PartFailed: it does not answer.
    """
    port = programs.start_on_free_port(
        "MLflow server",
        lambda port: [
            *(sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}"),
            *("--workers=1", f"--backend-store-uri=sqlite:///{folder / 'mlflow.db'}"),
            f"--default-artifact-root=gs://{BUCKET}/mlflow",
        ],
        {
            **environment,
            # Eight more processes for features we do not use, and twice the time to start.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        lambda port: answers(f"http://127.0.0.1:{port}/health"),
        START_SECONDS,
    )
    return f"http://127.0.0.1:{port}"


def start_prefect(programs: Programs, folder: Path, environment: Mapping[str, str]) -> str:
    """A Prefect server that forgets all at its end; returns its address for PREFECT_API_URL.

    Raises:
        PartFailed: it does not answer.
    """
    port = programs.start_on_free_port(
        "Prefect server",
        lambda port: [
            *(sys.executable, "-m", "prefect", "server", "start"),
            *("--host=127.0.0.1", f"--port={port}"),
        ],
        {**environment, "PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
        lambda port: answers(f"http://127.0.0.1:{port}/api/health"),
        START_SECONDS,
    )
    return f"http://127.0.0.1:{port}/api"


def last_line(log: Path | None) -> str:
    """The last thing that a program said, which is mostly why it ended."""
    lines = log.read_text(errors="replace").split("\n") if log and log.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it says nothing")
