"""MLflow's default server, with and without a password in front of it, in functions and jobs."""

import base64
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import mlflow
import pytest
from click.testing import CliRunner, Result
from mlflow.tracking import MlflowClient

from functions.errors import ModelUnavailable, RidecastError
from functions.mlflow_client import TrackingServer
from functions.model import load_model
from functions.resolver import resolve
from jobs.__main__ import main
from jobs.registry.model_versions import ModelRegistry
from jobs.registry.release_pointer import artifact_server, find_release
from jobs.trips.synthetic import write_month
from tests.models import log_onnx, save_onnx, some_rides
from tests.serving import call

USER, PASSWORD = "alice", "p@ss/w0rd: 100%"
QUOTED = "alice:p%40ss%2Fw0rd%3A%20100%25"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
TOKEN = "t0ken-of-alice"
NAME = "Fahrt's Dauer ü"
SECONDS = 60.0
RIDES = some_rides(20)
RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}


class Proxy(BaseHTTPRequestHandler):
    """Forwards what is below /team/ml to MLflow, if the Authorization header is right, as DagsHub does."""

    target: str

    def forward(self) -> None:
        if self.headers.get("Authorization") not in (f"Basic {BASIC}", f"Bearer {TOKEN}"):
            return self.respond(401, b"You are not authenticated.")
        length = int(self.headers.get("Content-Length") or 0)
        request = urllib.request.Request(
            self.target + self.path.removeprefix("/team/ml"),
            self.rfile.read(length) if length else None,
            {"Content-Type": self.headers.get("Content-Type", "application/json")},
            method=self.command,
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return self.respond(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return self.respond(error.code, error.read())

    def respond(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815  # the base class looks for these names

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def protected(default_mlflow_server: str) -> Iterator[str]:
    """Address of the default server behind a password, without the password."""
    handler = type("ProxyOfMlflow", (Proxy,), {"target": default_mlflow_server})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/team/ml"
        server.shutdown()


@pytest.fixture(scope="module")
def address(protected: str) -> str:
    """The same with user name and password."""
    return protected.replace("://", f"://{QUOTED}@") + "/"


def settled(target: str, settings: dict[str, str], path: str, **request: Any) -> httpx.Response:
    """The response once the model is loaded or refused, for which a busy machine takes its time."""

    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        deadline = time.monotonic() + SECONDS
        response = await client.post(path, **request)
        while "it is still being loaded" in response.text and time.monotonic() < deadline:
            response = await client.post(path, **request)
        return response

    return call(target, settings, ask)


class Logged(NamedTuple):
    """A model that another program has logged to the default server and registered as `NAME`."""

    run_id: str
    model_id: str


@pytest.fixture(scope="module")
def logged(default_mlflow_server: str, onnx_folder: Path) -> Logged:
    mlflow.set_tracking_uri(default_mlflow_server)
    mlflow.set_registry_uri(default_mlflow_server)
    version = log_onnx(NAME)
    client = MlflowClient(default_mlflow_server, registry_uri=default_mlflow_server)
    found = client.get_model_version(NAME, str(version))
    client.set_registered_model_alias(NAME, "champion", str(version))
    client.log_artifacts(found.run_id, str(onnx_folder), "models/model 2")
    return Logged(found.run_id, found.source.removeprefix("models:/"))


@pytest.mark.parametrize(
    "uri",
    [
        f"models:/{NAME}/1",
        f"models:/{NAME}@champion",
        f"models:/{NAME}/latest",
        "models:/Fahrt%27s%20Dauer%20%C3%BC/1",
        "models:/{model_id}",
        "runs:/{run_id}/onnx",
        "runs:/{run_id}/models/model 2",
        "mlflow-artifacts:/0/models/{model_id}/artifacts",
    ],
)
def test_every_uri_of_a_model(uri: str, protected: str, logged: Logged, onnx_folder: Path) -> None:
    server = TrackingServer(protected, USER, PASSWORD)
    release = resolve(uri.format(**logged._asdict()), server)
    assert release.location.startswith("mlflow-artifacts:/0/")
    model = load_model(release, server=server)
    assert model.predict(RIDES).tolist() == load_model(resolve(str(onnx_folder))).predict(RIDES).tolist()


@pytest.mark.parametrize(
    "credentials",
    [
        {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD},
        {"MLFLOW_TRACKING_TOKEN": TOKEN},
    ],
)
def test_a_function_serves_with_credentials_of_either_kind(
    credentials: dict[str, str], protected: str, logged: Logged
) -> None:
    settings = {"MODEL_URI": f"models:/{NAME}@champion", "MLFLOW_TRACKING_URI": protected}
    assert settled("predict", settings | credentials, "/predict", json=RIDE).status_code == 200


def test_a_function_without_credentials_says_which_variables_to_set(
    protected: str, logged: Logged, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"MODEL_URI": f"models:/{NAME}@champion", "MLFLOW_TRACKING_URI": protected}
    assert settled("predict", settings, "/predict", json=RIDE).status_code == 503
    log = capsys.readouterr().out
    assert "401: You are not authenticated. Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in log


class Workspace:
    """A folder with months, a model bucket and predictions, and the commands run in it."""

    def __init__(self, folder: Path, tracking_uri: str) -> None:
        self.folder = folder
        self.bucket = folder / "bucket"
        self.environment = {
            "MLFLOW_TRACKING_URI": tracking_uri,
            "MODEL_BUCKET": str(self.bucket),
            "COLUMNS": "200",
        }
        self.january, self.february = (
            str(folder / f"green_tripdata_2021-{month:02d}.parquet") for month in (1, 2)
        )

    def run(self, *options: str, **environment: str) -> Result:
        return CliRunner().invoke(main, options, env=self.environment | environment)

    def succeed(self, *options: str, **environment: str) -> str:
        result = self.run(*options, **environment)
        assert result.exit_code == 0, result.output
        return result.output

    def fail(self, *options: str, **environment: str) -> str:
        result = self.run(*options, **environment)
        assert result.exit_code == 1, result.output
        return result.stderr

    def pointer(self, name: str) -> Path:
        return self.bucket / "releases" / name / "champion.json"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, address: str) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("workspace"), address)
    write_month(date(2021, 1, 1), Path(workspace.january), 3000)
    write_month(date(2021, 2, 1), Path(workspace.february), 2000)
    return workspace


def files_below(*folders: Path) -> Iterator[tuple[Path, bytes]]:
    for folder in folders:
        yield from ((path, path.read_bytes()) for path in folder.rglob("*") if path.is_file())


def test_no_command_and_no_function_shows_the_password(
    workspace: Workspace,
    address: str,
    default_mlflow_server: str,
    folder: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """All commands with artifacts on the server, then both functions: nothing they wrote has the password."""
    client = MlflowClient(default_mlflow_server, registry_uri=default_mlflow_server)
    client.create_experiment("ride-duration")
    shown = workspace.succeed("train", "--trips", workspace.january, "--trees", "5")
    assert "artifacts go to mlflow-artifacts:/" in shown
    shown += workspace.succeed("promote")
    shown += workspace.succeed("sync")
    pointer = workspace.pointer("ride-duration")
    location = json.loads(pointer.read_text())["location"]
    assert location.startswith("mlflow-artifacts:/")
    predictions = str(workspace.folder / "predictions")
    shown += workspace.succeed("score", "--trips", workspace.february, "--output", predictions)
    by_alias = ("--model", "models:/ride-duration@champion")
    shown += workspace.succeed("score", "--trips", workspace.february, "--output", predictions, *by_alias)
    page = str(workspace.folder / "report.html")
    reported = workspace.run("report", "--trips", workspace.february, "--page", page)
    assert reported.exit_code in (0, 3), reported.output
    shown += reported.output
    wrong = address.replace("p%40ss", "wrong")
    for failing in (wrong, address.replace("/team/ml", "/nothing/here"), "http://alice:p@ss/w0rd: 100%@h"):
        failed = workspace.run("sync", MLFLOW_TRACKING_URI=failing)
        assert failed.exit_code in (1, 2), failed.output
        shown += failed.output

    settings = {"MODEL_URI": str(pointer), "MLFLOW_TRACKING_URI": address}
    assert settled("predict", settings, "/predict", json=RIDE).status_code == 200
    streaming = {f"{kind}_TOPIC": str(workspace.folder / kind) for kind in ("PREDICTIONS", "DEAD_LETTER")}
    data = base64.b64encode(json.dumps({"ride": RIDE, "ride_id": 1}).encode()).decode()
    event = {"message": {"data": data, "messageId": "1"}, "subscription": "projects/p/subscriptions/s"}
    assert settled("predict_event", settings | streaming, "/", json=event).status_code in (200, 204)
    assert "ride_duration" in (workspace.folder / "PREDICTIONS").read_text()
    refused = settled("predict", settings | {"MLFLOW_TRACKING_URI": wrong}, "/predict", json=RIDE)
    assert refused.status_code == 503

    out, err = capfd.readouterr()
    written = [(Path("output"), (shown + out + err).encode()), *files_below(workspace.folder, folder)]
    assert len(written) > 20
    secrets = [PASSWORD, QUOTED, QUOTED.partition(":")[2], BASIC, "p@ss", "w0rd"]
    for secret in secrets:
        assert [str(path) for path, content in written if secret.encode() in content] == []


def test_a_pointer_to_the_server_needs_its_address(workspace: Workspace, logged: Logged) -> None:
    workspace.succeed("sync", "--name", NAME)
    pointer = workspace.pointer(NAME)
    with pytest.raises(ModelUnavailable, match="need an MLflow server: set MLFLOW_TRACKING_URI"):
        load_model(resolve(str(pointer)))
    release = find_release(str(pointer), workspace.environment)
    assert load_model(release, server=artifact_server(release, workspace.environment)).version == "1"


def test_what_readers_of_the_bucket_cannot_reach_is_refused(
    workspace: Workspace, logged: Logged, default_mlflow_server: str
) -> None:
    bucket = {"MODEL_BUCKET": "gs://models-of-a-test"}
    for command in (["sync"], ["promote", "--force"]):
        message = workspace.fail(*command, "--name", NAME, **bucket)
        assert "which programs that read gs://models-of-a-test cannot reach" in message
        assert "promote --model gs://models-of-a-test/models/MODEL" in message
    client = MlflowClient(default_mlflow_server, registry_uri=default_mlflow_server)
    if not client.get_experiment_by_name("ride-duration"):
        client.create_experiment("ride-duration")
    message = workspace.fail("train", "--trips", workspace.january, "--trees", "5", **bucket)
    assert "cannot reach: rename the experiment ride-duration in MLflow" in message


def test_a_model_that_was_logged_elsewhere_is_promoted(
    workspace: Workspace, logged: Logged, default_mlflow_server: str
) -> None:
    client = MlflowClient(default_mlflow_server, registry_uri=default_mlflow_server)
    for number, uri in enumerate((f"models:/{NAME}/1", f"runs:/{logged.run_id}/models/model 2"), 1):
        rejected = workspace.fail("promote", "--name", "adopted", "--model", uri)
        assert "gates failed: held-out rides" in rejected
        assert "--held-out" in rejected
        assert workspace.pointer("adopted").exists() == (number > 1)
        judged = ("--held-out", workspace.february)
        promoted = workspace.succeed("promote", "--name", "adopted", "--model", uri, *judged)
        assert f"adopted version {number} is the champion; " in promoted, "registered once"
        assert client.get_model_version_by_alias("adopted", "champion").version == str(number)
        assert json.loads(workspace.pointer("adopted").read_text())["version"] == str(number)
    forced = workspace.succeed(
        "promote", "--name", "forced", "--model", f"models:/{logged.model_id}", "--force"
    )
    assert "forced version 1 is the champion (forced)" in forced
    assert client.get_model_version("forced", "1").tags["promotion_forced"] == "held-out rides"


@pytest.fixture
def database(tmp_path: Path) -> Workspace:
    """A workspace with a database and one logged model."""
    workspace = Workspace(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.set_tracking_uri(workspace.environment["MLFLOW_TRACKING_URI"])
    mlflow.set_registry_uri(workspace.environment["MLFLOW_TRACKING_URI"])
    mlflow.create_experiment("mine", artifact_location=(tmp_path / "artifacts").as_uri())
    mlflow.set_experiment("mine")
    log_onnx(NAME)
    return workspace


def test_every_uri_of_a_model_in_a_database(database: Workspace) -> None:
    environment = database.environment
    registry = ModelRegistry(environment["MLFLOW_TRACKING_URI"], NAME)
    version = registry.release(1)
    registry.set_champion(version, "champion", {})
    run_id, model_id = version.run_id, Path(version.location).parent.name
    for uri in (
        *(f"models:/{NAME}/1", f"models:/{NAME}@champion", f"models:/{NAME}/latest"),
        *(f"models:/{model_id}", f"runs:/{run_id}/onnx"),
    ):
        release = find_release(uri, environment)
        assert (release.location, release.run_id, release.files) == (version.location, run_id, version.files)
    for uri, sentence in (
        (f"models:/{NAME}/2", "has no version 2"),
        (f"models:/{NAME}@nobody", "has the alias nobody"),
        ("models:/m-0000", "there is no models:/m-0000"),
        ("runs:/0000/onnx", "there is no runs:/0000/onnx"),
    ):
        with pytest.raises(RidecastError, match=sentence):
            find_release(uri, environment)


def test_a_folder_is_copied_to_the_bucket_before_its_pointer(database: Workspace, tmp_path: Path) -> None:
    message = database.fail("promote", "--name", NAME, "--force", MODEL_BUCKET="gs://models-of-a-test")
    assert f"the files are in {tmp_path}/artifacts/models/" in message
    assert "`gcloud storage cp --recursive " in message
    folder = save_onnx(tmp_path / "exported model")
    promoted = database.succeed("promote", "--name", "exported", "--model", str(folder), "--force")
    assert "exported version 1 is the champion" in promoted
    assert json.loads(database.pointer("exported").read_text())["location"] == str(folder)


def test_a_pickle_is_promoted_and_followed_if_allowed(tmp_path: Path, pickle_folder: Path) -> None:
    """With the remedy that the error names, as a variable and as an option."""
    database = Workspace(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")
    pickled = ("promote", "--name", "pickled", "--model", str(pickle_folder), "--force")
    assert "set ALLOW_PICKLE=true" in database.fail(*pickled)
    assert "pickled version 1 is the champion" in database.succeed(*pickled, ALLOW_PICKLE="true")
    database.pointer("pickled").unlink()
    assert "set ALLOW_PICKLE=true" in database.fail("sync", "--name", "pickled")
    assert "now names version 1" in database.succeed("sync", "--name", "pickled", "--allow-pickle")
