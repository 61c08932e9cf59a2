"""The servers of a run: Ridecast, the upper limits of its framework, and other tools.

All have one worker and compute in one thread, because they are compared on one core.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.champion import Champion
from benchmarks.workload import (
    ECHO,
    EVENT,
    RIDE,
    TOLERANCE_MINUTES,
    WRAPPED_RIDE,
    RequestFormat,
    open_inference_format,
    split_format,
)
from jobs.local.processes import free_port
from jobs.settings import PROJECT_ROOT

LIMITS = "benchmarks/limits"
PEERS = "benchmarks/peers"
ENVIRONMENTS = PROJECT_ROOT / ".cache" / "peers"
"""Folder of the peers' virtual environments."""

RIDECAST = "**Ridecast** `predict`"
RIDECAST_EVENTS = "**Ridecast** `predict_event`"
ASGI_ECHO = "functions-framework echo, ASGI"
FLASK_ECHO = "functions-framework echo, Flask"
PYFUNC = "functions-framework + MLflow pyfunc"
MLFLOW_SERVE = "`mlflow models serve`"
BENTOML = "BentoML"
LITSERVE = "LitServe"
RAW_ECHO = "uvicorn echo, no framework"
COURSE = "course: Flask + gunicorn"
COURSE_ONNX = f"{COURSE}, ONNX"
COURSE_SKLEARN = f"{COURSE}, scikit-learn"
HTTP_PEERS = (
    PYFUNC,
    MLFLOW_SERVE,
    BENTOML,
    LITSERVE,
    "MLServer, MLflow runtime",
    COURSE_ONNX,
    COURSE_SKLEARN,
)
HTTP_LIMITS = (ASGI_ECHO, FLASK_ECHO, RAW_ECHO)
PLAIN_EVENTS = "plain implementation, scikit-learn"
PLAIN_EVENTS_ONNX = "plain implementation, ONNX"
PUBSUB_PEERS = (PLAIN_EVENTS, PLAIN_EVENTS_ONNX)

Command = Callable[[int], Sequence[str]]
"""Port → the command line that starts a server on it."""


@dataclass(frozen=True)
class Server:
    """How one server is started, and its format of requests."""

    name: str
    command: Command
    format: RequestFormat
    environment: Mapping[str, str] = field(default_factory=dict)
    tolerance: float = TOLERANCE_MINUTES
    """Minutes by which its predictions may differ from the model's."""
    peer: str = ""
    """Folder in `benchmarks/peers` with the requirements of its virtual environment; empty if it has none."""


def framework(target: str, source: str = "main.py", python: Path = Path(sys.executable)) -> Command:
    """The command of functions-framework for one function, as on Google Cloud."""
    program = str(python.with_name("functions-framework"))
    return lambda port: [
        *(program, f"--source={source}", f"--target={target}"),
        *("--host=127.0.0.1", f"--port={port}"),
    ]


def ridecast(pointer: str) -> Server:
    """The HTTP function, which fetches its model from the pointer's bucket."""
    return Server(RIDECAST, framework("predict"), RIDE, {"MODEL_URI": pointer}, tolerance=0)


def limits() -> list[Server]:
    """The echo servers: functions-framework in both modes, and uvicorn without it."""
    uvicorn = str(Path(sys.executable).with_name("uvicorn"))
    return [
        Server(ASGI_ECHO, framework("echo", f"{LIMITS}/asgi_echo.py"), ECHO),
        Server(FLASK_ECHO, framework("echo", f"{LIMITS}/flask_echo.py"), ECHO),
        Server(
            RAW_ECHO,
            lambda port: [
                *(uvicorn, "benchmarks.limits.raw_echo:echo", f"--port={port}"),
                *("--log-level=error", "--no-access-log"),
            ],
            ECHO,
        ),
    ]


def peers(champion: Champion, folder: Path) -> list[Server]:
    """Other tools that serve the champion over HTTP, each as its documentation shows.

    Args:
        folder: an empty folder for MLServer's model repository.
    """
    onnx = model_environment(champion.release.location, champion)
    mlserver = {
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_MODEL_NAME": "rides",
        "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_mlflow.MLflowRuntime",
        "MLSERVER_MODEL_URI": champion.release.location,
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_DEBUG": "false",
    }

    def start_mlserver(port: int) -> list[str]:
        # Its other two ports cannot be disabled.
        others = [f"MLSERVER_GRPC_PORT={free_port()}", f"MLSERVER_METRICS_PORT={free_port()}"]
        argv = [str(program("mlserver", "mlserver")), "start", str(folder)]
        return ["env", f"MLSERVER_HTTP_PORT={port}", *others, *argv]

    return [
        Server(
            PYFUNC,
            framework("predict", f"{PEERS}/pyfunc/main.py", program("pyfunc", "python")),
            RIDE,
            onnx,
            peer="pyfunc",
        ),
        Server(
            MLFLOW_SERVE,
            lambda port: [
                *(str(program("mlflow_serve", "mlflow")), "models", "serve"),
                *("--model-uri", champion.release.location, "--env-manager=local"),
                *("--host=127.0.0.1", f"--port={port}", "--workers=1"),
            ],
            split_format(champion.columns),
            onnx,
            peer="mlflow_serve",
        ),
        Server(
            BENTOML,
            lambda port: [
                *(str(program("bento", "bentoml")), "serve", "service:Rides"),
                *(f"--working-dir={PEERS}/bento", "--host=127.0.0.1", f"--port={port}"),
            ],
            WRAPPED_RIDE,
            onnx | {"BENTOML_DO_NOT_TRACK": "true"},
            peer="bento",
        ),
        Server(
            LITSERVE,
            lambda port: [str(program("lit", "python")), f"{PEERS}/lit/serve.py", str(port)],
            RIDE,
            onnx,
            peer="lit",
        ),
        Server(
            "MLServer, MLflow runtime",
            start_mlserver,
            open_inference_format(champion.columns),
            onnx | mlserver,
            peer="mlserver",
        ),
        _course(COURSE_ONNX, onnx),
        _course(COURSE_SKLEARN, model_environment(champion.scikit_learn, champion)),
    ]


def _course(name: str, environment: Mapping[str, str]) -> Server:
    return Server(
        name,
        lambda port: [
            *(str(program("flask_gunicorn", "gunicorn")), "predict:app", "--workers=1"),
            *(f"--pythonpath={PEERS}/flask_gunicorn", f"--bind=127.0.0.1:{port}"),
        ],
        RIDE,
        environment,
        peer="flask_gunicorn",
    )


def ridecast_events(pointer: str) -> Server:
    """The Pub/Sub function."""
    return Server(RIDECAST_EVENTS, framework("predict_event"), EVENT, {"MODEL_URI": pointer}, tolerance=0)


def plain_events(champion: Champion) -> list[Server]:
    """A plain Pub/Sub function with the model in both formats, to separate the cost of the model."""
    command = framework("predict_event", f"{PEERS}/plain_events/main.py", program("plain_events", "python"))
    folders = {PLAIN_EVENTS: champion.scikit_learn, PLAIN_EVENTS_ONNX: champion.release.location}
    return [
        Server(name, command, EVENT, model_environment(folder, champion), peer="plain_events")
        for name, folder in folders.items()
    ]


def program(peer: str, name: str) -> Path:
    """Path of a program in a peer's virtual environment."""
    return ENVIRONMENTS / peer / "bin" / name


def model_environment(folder: str, champion: Champion) -> dict[str, str]:
    """Environment variables for `benchmarks.peers.model`."""
    return {
        "MODEL_FOLDER": folder,
        "MODEL_COLUMNS": ",".join(champion.columns),
        "PYTHONPATH": str(PROJECT_ROOT),
        "OMP_NUM_THREADS": "1",
    }
