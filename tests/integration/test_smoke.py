"""`python -m jobs smoke` against working and broken deployments on the emulator."""

import json
import shutil
import threading
import time
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
from jobs.local.emulators import PubSubEmulator
from jobs.local.processes import free_port
from jobs.local.topics import Topics
from tests.cloud import Starter


@pytest.fixture(scope="module")
def topics(pubsub: PubSubEmulator) -> Iterator[Topics]:
    """Topics with the smoke test's subscription, shared by the tests of this module."""
    topics = Topics(pubsub.host, f"ridecast-{uuid.uuid4().hex[:8]}")
    topics.create()
    topics.create_smoke_subscription()
    yield topics
    topics.delete()


@pytest.fixture(scope="module")
def connected(topics: Topics, start_function: Starter, onnx_folder: Path) -> Topics:
    """The topics with the Pub/Sub function subscribed."""
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


def smoke(topics: Topics, url: str, *arguments: str, **overrides: str) -> Result:
    """Runs the command with the environment variables that `make up` and Terraform provide."""
    environment = {
        "PUBSUB_EMULATOR_HOST": topics.emulator,
        "PREDICT_URL": url,
        "RIDE_EVENTS_TOPIC": topics.ride_events,
        "SMOKE_SUBSCRIPTION": topics.predictions_smoke,
    }
    return CliRunner().invoke(command, arguments, env=environment | overrides)


def test_a_working_deployment(connected: Topics, predict: str) -> None:
    result = smoke(connected, predict)

    assert result.exit_code == 0, result.output
    http, events, verdict = result.output.splitlines()
    assert events.startswith("Pub/Sub: version onnx, {'ride_duration': ")
    assert http.partition("version")[2] == events.partition("version")[2]
    assert verdict.strip() == "equal to the last bit"


def test_an_unpredictable_ride_and_messages_of_others(connected: Topics, predict: str) -> None:
    """A dead letter is received, and those of others are still available afterwards."""
    publisher = publisher_client(connected.emulator)
    others = [b"a letter for somebody else", b"and one more"]
    for data in others:
        publisher.publish(connected.dead_letters, data).result(10)
    publisher.publish(connected.predictions, b"no smoke", ride_id="256").result(10)
    publisher.stop()

    result = smoke(connected, predict, "--dead-letter-subscription", connected.dead_letters_pull)

    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "Unpredictable ride: dead letter, invalid_ride"
    with subscriber_client(connected.emulator) as subscriber:
        pulled = subscriber.pull(subscription=connected.dead_letters_pull, max_messages=10, timeout=10)
        assert sorted(each.message.data for each in pulled.received_messages) == sorted(others)


def test_a_function_that_is_down(connected: Topics) -> None:
    result = smoke(connected, f"http://127.0.0.1:{free_port()}", "--timeout", "3")

    assert result.exit_code == 1
    assert "/predict does not answer: " in result.output
    assert "Look at the log of predict" in result.output


def test_a_different_prediction_by_the_same_version(
    connected: Topics, start_function: Starter, other_onnx_folder: Path, tmp_path: Path
) -> None:
    same_name = shutil.copytree(other_onnx_folder, tmp_path / "onnx")
    result = smoke(connected, start_function("predict", MODEL_URI=str(same_name)))

    assert result.exit_code == 1
    assert "the same ride and the same version onnx, but {'ride_duration': " in result.output


def test_another_version(connected: Topics, start_function: Starter, other_onnx_folder: Path) -> None:
    result = smoke(connected, start_function("predict", MODEL_URI=str(other_onnx_folder)), "--timeout", "9")

    assert result.exit_code == 1
    http, events, waiting, verdict = result.output.splitlines()
    assert http.startswith("HTTP:    version other, ")
    assert events.startswith("Pub/Sub: version onnx, ")
    assert "one may be switching to a new release: trying again for up to 7 s" in waiting
    assert "events are predicted by version onnx, HTTP requests by version other" in verdict


def test_an_event_without_a_prediction(pubsub: PubSubEmulator, predict: str) -> None:
    alone = Topics(pubsub.host, f"ridecast-{uuid.uuid4().hex[:8]}")
    alone.create()
    alone.create_smoke_subscription()
    try:
        result = smoke(alone, predict, "--timeout", "1.5")
    finally:
        alone.delete()

    assert result.exit_code == 1
    assert f"accepted an event, but nothing came out of {alone.predictions_smoke} within " in result.output
    assert "look at predict_event's log" in result.output


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("RIDE_EVENTS_TOPIC", " did not confirm an event: 404"),
        ("SMOKE_SUBSCRIPTION", ": Subscription does not exist"),
    ],
)
def test_a_missing_topic_or_subscription(connected: Topics, predict: str, name: str, problem: str) -> None:
    kind = "topics" if name.endswith("TOPIC") else "subscriptions"
    uri = f"projects/{connected.project}/{kind}/nowhere"
    result = smoke(connected, predict, "--timeout", "2", **{name: uri})

    assert result.exit_code == 1
    assert f"{uri}{problem}" in result.output


class FailingProxy(ThreadingHTTPServer):
    """A proxy of the HTTP function that first returns error statuses, then another version."""

    def __init__(self, backend: str, *statuses: int) -> None:
        self.statuses, self.tokens, self.old_versions = list(statuses), [], 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                proxy.tokens.append(self.headers["Authorization"])
                status, content = 200, b"not for you"
                if proxy.statuses:
                    status = proxy.statuses.pop(0)
                else:
                    content = requests.post(f"{backend}{self.path}", body, timeout=10).content
                    if proxy.old_versions:
                        proxy.old_versions -= 1
                        content = content.replace(b'"version":"onnx"', b'"version":"before"')
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> "FailingProxy":
        self._thread = threading.Thread(target=self.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


def test_a_release_switch_in_progress_is_waited_for(connected: Topics, predict: str) -> None:
    with FailingProxy(predict) as proxy:
        proxy.old_versions = 3
        began = time.monotonic()
        result = smoke(connected, proxy.url)

    assert result.exit_code == 0, result.output
    assert len(proxy.tokens) == 4, "one request a ride"
    assert time.monotonic() - began >= 1 + 2 + 4, "with growing pauses"
    before, events, waiting, after, verdict = result.output.splitlines()
    assert before.startswith("HTTP:    version before, ")
    assert events.startswith("Pub/Sub: version onnx, ")
    assert "switching" in waiting
    assert after.startswith("HTTP:    version onnx, ")
    assert verdict.strip() == "equal to the last bit"


def test_the_identity_token_is_sent_until_it_is_accepted(connected: Topics, predict: str) -> None:
    """As with a permission that was granted a minute ago, and a service that is starting."""
    with FailingProxy(predict, 403, 503) as proxy:
        result = smoke(connected, proxy.url, PREDICT_TOKEN="who-we-are")

    assert result.exit_code == 0, result.output
    assert proxy.tokens == ["Bearer who-we-are"] * 3


def test_a_permanent_error_is_reported_at_once(connected: Topics, predict: str) -> None:
    with FailingProxy(predict, 404) as proxy:
        result = smoke(connected, proxy.url, PREDICT_TOKEN="")

    assert result.exit_code == 1
    assert "/predict answers 404: not for you" in result.output
    assert proxy.tokens == [None]


def test_without_pubsub(start_function: Starter, predict: str, onnx_folder: Path, tmp_path: Path) -> None:
    predictions = tmp_path / "predictions"
    address = start_function(
        "predict_event",
        MODEL_URI=str(onnx_folder),
        PREDICTIONS_TOPIC=str(predictions),
        DEAD_LETTER_TOPIC=str(tmp_path / "dead"),
    )
    environment = {
        "PREDICT_URL": predict,
        "RIDE_EVENTS_TOPIC": address,
        "SMOKE_SUBSCRIPTION": str(predictions),
    }
    result = CliRunner().invoke(
        command, ["--dead-letter-subscription", str(tmp_path / "dead")], env=environment
    )

    assert result.exit_code == 0, result.output
    assert "dead letter, invalid_ride" in result.output
    assert SMOKE_PREFIX in predictions.read_text()


def test_another_models_prediction_of_the_same_ride_is_ignored(
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
    environment = {
        "PREDICT_URL": predict,
        "RIDE_EVENTS_TOPIC": address,
        "SMOKE_SUBSCRIPTION": str(predictions),
    }
    result = CliRunner().invoke(command, [], env=environment)

    assert result.exit_code == 0, result.output
    assert "ride_fare" not in result.output


def test_an_invalid_address() -> None:
    environment = {"RIDE_EVENTS_TOPIC": "t", "SMOKE_SUBSCRIPTION": "s"}
    result = CliRunner().invoke(command, ["--predict-url", "predict.example"], env=environment)

    assert result.exit_code == 2
    assert "is not an http:// or https:// URL" in result.output
