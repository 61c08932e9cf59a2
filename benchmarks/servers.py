"""The servers that stand side by side: Ridecast, the limits of what it runs in, and other tools.

All have one worker; what computes in several threads gets one, because one core is what they are compared on.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.champion import Champion
from benchmarks.questions import (
    ECHO,
    EVENT,
    RIDE,
    SAME_MINUTES,
    WRAPPED_RIDE,
    Form,
    open_inference_form,
    split_form,
)
from jobs.local.processes import free_port
from jobs.settings import PROJECT_ROOT

LIMITS = "benchmarks/limits"
PEERS = "benchmarks/peers"
ENVIRONMENTS = PROJECT_ROOT / ".cache" / "peers"
"""Where the peers' virtual environments are kept."""

RIDECAST = "**Ridecast** `predict`"
RIDECAST_EVENTS = "**Ridecast** `predict_event`"
ASGI_ECHO = "functions-framework echo, ASGI"
FLASK_ECHO = "functions-framework echo, Flask"
PYFUNC = "functions-framework + MLflow pyfunc"
RAW_ECHO = "uvicorn echo, no framework"
COURSE = "course: Flask + gunicorn"
PEERS_OVER_HTTP = (
    PYFUNC,
    "`mlflow models serve`",
    "BentoML",
    "LitServe",
    "MLServer, MLflow runtime",
    f"{COURSE}, ONNX",
    f"{COURSE}, scikit-learn",
)
LIMITS_OVER_HTTP = (ASGI_ECHO, FLASK_ECHO, RAW_ECHO)
PLAIN_EVENTS = "the plain way, scikit-learn"
PLAIN_EVENTS_ONNX = "the plain way, ONNX"
PEERS_OVER_PUBSUB = (PLAIN_EVENTS, PLAIN_EVENTS_ONNX)

Command = Callable[[int], Sequence[str]]
"""The words that start a server on a port."""


@dataclass(frozen=True)
class Server:
    """One server: how it is started, and how it is asked."""

    name: str
    command: Command
    form: Form
    environment: Mapping[str, str] = field(default_factory=dict)
    most: float = SAME_MINUTES
    """Minutes by which its predictions may differ from the model's."""
    peer: str = ""
    """Folder under `benchmarks/peers` with the requirements of an environment of its own."""


def framework(target: str, source: str = "main.py", python: Path = Path(sys.executable)) -> Command:
    """functions-framework serving one function, as Google Cloud starts it."""
    program = str(python.with_name("functions-framework"))
    return lambda port: [
        *(program, f"--source={source}", f"--target={target}"),
        *("--host=127.0.0.1", f"--port={port}"),
    ]


def ridecast(pointer: str) -> Server:
    """The HTTP function; its model comes from the pointer's bucket."""
    return Server(RIDECAST, framework("predict"), RIDE, {"MODEL_URI": pointer}, most=0)


def limits() -> list[Server]:
    """What gives back what it is sent: functions-framework in both modes, and uvicorn without it."""
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
    """Other tools that serve the champion over HTTP, each as its own pages show it.

    Args:
        folder: an empty one, which MLServer takes for its repository of models.
    """
    onnx = model_settings(champion.release.location, champion)
    mlserver = {
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_MODEL_NAME": "rides",
        "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_mlflow.MLflowRuntime",
        "MLSERVER_MODEL_URI": champion.release.location,
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_DEBUG": "false",
    }

    def start_mlserver(port: int) -> list[str]:
        # Its other two doors cannot be shut.
        others = [f"MLSERVER_GRPC_PORT={free_port()}", f"MLSERVER_METRICS_PORT={free_port()}"]
        words = [str(program("mlserver", "mlserver")), "start", str(folder)]
        return ["env", f"MLSERVER_HTTP_PORT={port}", *others, *words]

    return [
        Server(
            PYFUNC,
            framework("predict", f"{PEERS}/pyfunc/main.py", program("pyfunc", "python")),
            RIDE,
            onnx,
            peer="pyfunc",
        ),
        Server(
            "`mlflow models serve`",
            lambda port: [
                *(str(program("mlflow_serve", "mlflow")), "models", "serve"),
                *("--model-uri", champion.release.location, "--env-manager=local"),
                *("--host=127.0.0.1", f"--port={port}", "--workers=1"),
            ],
            split_form(champion.columns),
            onnx,
            peer="mlflow_serve",
        ),
        Server(
            "BentoML",
            lambda port: [
                *(str(program("bento", "bentoml")), "serve", "service:Rides"),
                *(f"--working-dir={PEERS}/bento", "--host=127.0.0.1", f"--port={port}"),
            ],
            WRAPPED_RIDE,
            onnx | {"BENTOML_DO_NOT_TRACK": "true"},
            peer="bento",
        ),
        Server(
            "LitServe",
            lambda port: [str(program("lit", "python")), f"{PEERS}/lit/serve.py", str(port)],
            RIDE,
            onnx,
            peer="lit",
        ),
        Server(
            "MLServer, MLflow runtime",
            start_mlserver,
            open_inference_form(champion.columns),
            onnx | mlserver,
            peer="mlserver",
        ),
        _course(f"{COURSE}, ONNX", onnx),
        _course(f"{COURSE}, scikit-learn", model_settings(champion.scikit_learn, champion)),
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
    return Server(RIDECAST_EVENTS, framework("predict_event"), EVENT, {"MODEL_URI": pointer}, most=0)


def plain_events(champion: Champion) -> list[Server]:
    """A Pub/Sub function written the plain way; with both formats, to tell the model's part from the rest."""
    command = framework("predict_event", f"{PEERS}/plain_events/main.py", program("plain_events", "python"))
    folders = {PLAIN_EVENTS: champion.scikit_learn, PLAIN_EVENTS_ONNX: champion.release.location}
    return [
        Server(name, command, EVENT, model_settings(folder, champion), peer="plain_events")
        for name, folder in folders.items()
    ]


def program(peer: str, name: str) -> Path:
    """A program of a peer's environment."""
    return ENVIRONMENTS / peer / "bin" / name


def model_settings(folder: str, champion: Champion) -> dict[str, str]:
    """What tells `benchmarks.peers.model` which model, and how it finds itself."""
    return {
        "MODEL_FOLDER": folder,
        "MODEL_COLUMNS": ",".join(champion.columns),
        "PYTHONPATH": str(PROJECT_ROOT),
        "OMP_NUM_THREADS": "1",
    }
