"""`python -m jobs smoke` against a deployment on the emulators, whole and broken."""

import json
import shutil
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from jobs.commands.smoke import command
from jobs.events.pubsub_clients import publisher_client, subscriber_client
from jobs.events.smoke_test import SMOKE_PREFIX
from jobs.local.emulators import PubSub
from jobs.local.processes import free_port
from jobs.local.topics import Topics
from tests.cloud import Starter


@pytest.fixture(scope="module")
def topics(pubsub: PubSub) -> Iterator[Topics]:
    """With the subscription of the smoke test; shared by this module's tests."""
    topics = Topics(pubsub.host, f"ridecast-{uuid.uuid4().hex[:8]}")
    topics.create()
    topics.watch_smoke()
    yield topics
    topics.delete()


@pytest.fixture(scope="module")
def connected(topics: Topics, start_function: Starter, onnx_folder: Path) -> Topics:
    """With the Pub/Sub function behind them."""
    address = start_function(
        "predict_event",
        MODEL_URI=str(onnx_folder),
        PUBSUB_EMULATOR_HOST=topics.emulator,
        PREDICTIONS_TOPIC=topics.predictions,
        DEAD_LETTER_TOPIC=topics.dead_letters,
    )
    topics.push_to(address)
    return topics


@pytest.fixture(scope="module")
def predict(start_function: Starter, onnx_folder: Path) -> str:
    return start_function("predict", MODEL_URI=str(onnx_folder))


def smoke(topics: Topics, url: str, *more: str, **other: str) -> Result:
    """The command, told where things are as `make up` and Terraform tell it."""
    places = {
        "PUBSUB_EMULATOR_HOST": topics.emulator,
        "PREDICT_URL": url,
        "RIDE_EVENTS_TOPIC": topics.ride_events,
        "SMOKE_SUBSCRIPTION": topics.predictions_smoke,
    }
    return CliRunner().invoke(command, more, env=places | other)


def test_a_deployment_that_is_whole(connected: Topics, predict: str) -> None:
    result = smoke(connected, predict)

    assert result.exit_code == 0, result.output
    http, events, verdict = result.output.splitlines()
    assert events.startswith("Pub/Sub: version onnx, {'ride_duration': ")
    assert http.partition("version")[2] == events.partition("version")[2]
    assert verdict.strip() == "equal to the last bit"


def test_a_bad_ride_and_what_is_not_ours(connected: Topics, predict: str) -> None:
    """A dead letter comes, and those of others are still there afterwards."""
    publisher = publisher_client(connected.emulator)
    others = [b"a letter for somebody else", b"and one more"]
    for data in others:
        publisher.publish(connected.dead_letters, data).result(10)
    publisher.publish(connected.predictions, b"no smoke", ride_id="256").result(10)
    publisher.stop()

    result = smoke(connected, predict, "--dead-letter-subscription", connected.dead_letters_pull)

    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "A ride from nowhere: dead letter, invalid_ride"
    with subscriber_client(connected.emulator) as subscriber:
        pulled = subscriber.pull(subscription=connected.dead_letters_pull, max_messages=10, timeout=10)
        assert sorted(each.message.data for each in pulled.received_messages) == sorted(others)


def test_a_function_that_is_down(connected: Topics) -> None:
    result = smoke(connected, f"http://127.0.0.1:{free_port()}", "--timeout", "3")

    assert result.exit_code == 1
    assert "/predict does not answer: " in result.output
    assert "Look at the log of predict" in result.output


def test_another_number_by_the_same_version(
    connected: Topics, start_function: Starter, other_onnx_folder: Path, tmp_path: Path
) -> None:
    same_name = shutil.copytree(other_onnx_folder, tmp_path / "onnx")
    result = smoke(connected, start_function("predict", MODEL_URI=str(same_name)))

    assert result.exit_code == 1
    assert "the same ride and the same version onnx, but {'ride_duration': " in result.output


def test_another_version(connected: Topics, start_function: Starter, other_onnx_folder: Path) -> None:
    result = smoke(connected, start_function("predict", MODEL_URI=str(other_onnx_folder)), "--timeout", "3")

    assert result.exit_code == 1
    assert "once more" in result.output
    assert "events are predicted by version onnx, HTTP by version other, and that stays so" in result.output


def test_an_event_that_nobody_predicts(pubsub: PubSub, predict: str) -> None:
    alone = Topics(pubsub.host, f"ridecast-{uuid.uuid4().hex[:8]}")
    alone.create()
    alone.watch_smoke()
    try:
        result = smoke(alone, predict, "--timeout", "1.5")
    finally:
        alone.delete()

    assert result.exit_code == 1
    assert f"took an event, but nothing came out of {alone.predictions_smoke} within " in result.output
    assert "look at predict_event's log" in result.output


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("RIDE_EVENTS_TOPIC", "did not confirm an event: 404"),
        ("SMOKE_SUBSCRIPTION", "gives nothing: Subscription does not exist"),
    ],
)
def test_a_place_that_is_not_there(connected: Topics, predict: str, name: str, said: str) -> None:
    kind = "topics" if name.endswith("TOPIC") else "subscriptions"
    place = f"projects/{connected.project}/{kind}/nowhere"
    result = smoke(connected, predict, "--timeout", "2", **{name: place})

    assert result.exit_code == 1
    assert f"{place} {said}" in result.output


class Door(ThreadingHTTPServer):
    """Before the HTTP function: first answers with statuses of its own, then as another version."""

    def __init__(self, behind: str, *statuses: int) -> None:
        self.statuses, self.tokens, self.old = list(statuses), [], 0
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                door.tokens.append(self.headers["Authorization"])
                status, content = 200, b"not for you"
                if door.statuses:
                    status = door.statuses.pop(0)
                else:
                    content = requests.post(f"{behind}{self.path}", body, timeout=10).content
                    if door.old:
                        door.old -= 1
                        content = content.replace(b'"version":"onnx"', b'"version":"before"')
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> "Door":
        self._thread = threading.Thread(target=self.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


def test_a_release_that_takes_over_meanwhile_is_waited_for(connected: Topics, predict: str) -> None:
    with Door(predict) as door:
        door.old = 1
        result = smoke(connected, door.url)

    assert result.exit_code == 0, result.output
    assert "HTTP:    version before" in result.output
    assert "once more" in result.output
    assert result.output.splitlines()[-1].strip() == "equal to the last bit"


def test_who_we_are_is_said_until_it_is_believed(connected: Topics, predict: str) -> None:
    """A permission that was given a minute ago, and a service that starts."""
    with Door(predict, 403, 503) as door:
        result = smoke(connected, door.url, PREDICT_TOKEN="who-we-are")

    assert result.exit_code == 0, result.output
    assert door.tokens == ["Bearer who-we-are"] * 3


def test_what_time_does_not_heal_is_said_at_once(connected: Topics, predict: str) -> None:
    with Door(predict, 404) as door:
        result = smoke(connected, door.url, PREDICT_TOKEN="")

    assert result.exit_code == 1
    assert "/predict answers 404: not for you" in result.output
    assert door.tokens == [None]


def test_without_pubsub(start_function: Starter, predict: str, onnx_folder: Path, tmp_path: Path) -> None:
    predictions = tmp_path / "predictions"
    address = start_function(
        "predict_event",
        MODEL_URI=str(onnx_folder),
        PREDICTIONS_TOPIC=str(predictions),
        DEAD_LETTER_TOPIC=str(tmp_path / "dead"),
    )
    places = {
        "PREDICT_URL": predict,
        "RIDE_EVENTS_TOPIC": address,
        "SMOKE_SUBSCRIPTION": str(predictions),
    }
    result = CliRunner().invoke(command, ["--dead-letter-subscription", str(tmp_path / "dead")], env=places)

    assert result.exit_code == 0, result.output
    assert "dead letter, invalid_ride" in result.output
    assert SMOKE_PREFIX in predictions.read_text()


def test_another_models_prediction_of_the_same_ride_is_not_ours(
    start_function: Starter, predict: str, onnx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = uuid.UUID(int=7)
    monkeypatch.setattr("jobs.events.smoke_test.uuid.uuid4", lambda: ours)
    predictions = tmp_path / "predictions"
    prediction = {"ride_fare": 9.5, "ride_id": f"{SMOKE_PREFIX}{ours.hex}"}
    foreign = {"model": "ride-fare", "version": "1", "prediction": prediction}
    attributes = {"ride_id": prediction["ride_id"], "model": "ride-fare"}
    predictions.write_text(json.dumps({"attributes": attributes, "data": foreign}) + "\n")
    address = start_function(
        "predict_event",
        MODEL_URI=str(onnx_folder),
        PREDICTIONS_TOPIC=str(predictions),
        DEAD_LETTER_TOPIC=str(tmp_path / "dead"),
    )
    places = {"PREDICT_URL": predict, "RIDE_EVENTS_TOPIC": address, "SMOKE_SUBSCRIPTION": str(predictions)}
    result = CliRunner().invoke(command, [], env=places)

    assert result.exit_code == 0, result.output
    assert "ride_fare" not in result.output


def test_an_address_that_is_none() -> None:
    places = {"RIDE_EVENTS_TOPIC": "t", "SMOKE_SUBSCRIPTION": "s"}
    result = CliRunner().invoke(command, ["--predict-url", "predict.example"], env=places)

    assert result.exit_code == 2
    assert "no http:// or https:// address" in result.output
