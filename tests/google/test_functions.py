"""In Google's environment both functions log, answer, publish and end as they do without it."""

import base64
import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from functions.releases import Release
from jobs.registry.model_store import build_manifest
from jobs.registry.release_pointer import write_pointer
from tests.google.environment import TIMEOUT_SECONDS, GoogleEnvironment, Instance
from tests.google.filters import matches, metric_filters, metric_labels

RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
FREEZES = 3
FREEZES_IN_FULL = 50


def delivery(data: bytes) -> dict[str, Any]:
    message = {"data": base64.b64encode(data).decode(), "messageId": "1"}
    return {"message": message, "subscription": "projects/p/subscriptions/s"}


def event(ride_id: int) -> dict[str, Any]:
    return delivery(json.dumps({"ride": RIDE, "ride_id": ride_id}).encode())


def post(instance: Instance, document: dict[str, Any]) -> requests.Response:
    return requests.post(instance.url, json=document, headers=HEADERS, timeout=30)


def test_every_line_arrives_with_its_trace_and_feeds_the_metrics(
    google: GoogleEnvironment, settings: dict[str, str]
) -> None:
    instance = google.start("predict_event", settings)
    assert post(instance, event(1)).status_code == 200
    assert post(instance, delivery(b"no ride")).status_code == 200

    lines = instance.log_lines()
    events = [line for line in lines if line["message"] == "ride event"]
    assert [line["outcome"] for line in events] == ["predicted", "dead_letter"]
    for line in events:
        assert line["logging.googleapis.com/trace"] == f"projects/ridecast-dev/traces/{TRACE}"
        assert line["logging.googleapis.com/spanId"] == SPAN
    assert [line["severity"] for line in events] == ["INFO", "WARNING"]
    assert sum(line["message"] == "model in service" for line in lines) == 1

    filters = metric_filters()
    counted = {name: [line for line in lines if matches(line, filters[name])] for name in filters}
    assert len(counted["ridecast/ride-events"]) == 2
    assert len(counted["ridecast/dead-letters"]) == 1
    for name in ("ridecast/ride-events", "ridecast/dead-letters"):
        for line in counted[name]:
            assert all(line.get(label) for label in metric_labels()[name]), f"{name} has no label in {line}"


def test_a_refused_release_is_counted(
    google: GoogleEnvironment, settings: dict[str, str], tmp_path: Path
) -> None:
    """The line of the alert: a newer pointer names a model that is not there."""
    pointer = tmp_path / "champion.json"
    location = settings["MODEL_URI"]
    release = Release(name="m", version="1", location=location, files=build_manifest(location))
    write_pointer(str(pointer), release)
    settings |= {"MODEL_URI": str(pointer), "MODEL_REFRESH_SECONDS": "0.2"}
    instance = google.start("predict", settings)
    damaged = tuple(msgspec.structs.replace(file, sha256="0" * 64) for file in release.files)
    write_pointer(str(pointer), msgspec.structs.replace(release, version="2", files=damaged))
    wanted = metric_filters()["ridecast/refused-releases"]
    deadline = time.monotonic() + 20
    while not (found := [line for line in instance.log_lines() if matches(line, wanted)]):
        assert time.monotonic() < deadline, instance.log_lines()
        requests.get(f"{instance.url}/health", timeout=5)
        time.sleep(0.1)
    assert found[0]["kept_version"] == "1"


@pytest.mark.parametrize("target", ["predict", "predict_event"])
def test_an_instance_that_was_frozen_answers_the_request_that_wakes_it(
    target: str, google: GoogleEnvironment, settings: dict[str, str], request: pytest.FixtureRequest
) -> None:
    freezes = FREEZES_IN_FULL if request.config.getoption("--full") else FREEZES
    instance = google.start(target, settings)
    workers = instance.workers()
    with ThreadPoolExecutor(1) as waking:
        for number in range(freezes):
            with instance.frozen():
                time.sleep(TIMEOUT_SECONDS + 0.5)
                body = RIDE if target == "predict" else event(number)
                answer = waking.submit(post, instance, body)
                time.sleep(0.1)  # the request is on its way before there is processor time again
            assert answer.result().status_code == 200
    assert instance.workers() == workers
    assert b"WORKER TIMEOUT" not in instance.process.log.read_bytes()


def test_it_ends_within_ten_seconds_and_finishes_what_it_has(
    google: GoogleEnvironment, settings: dict[str, str], tmp_path: Path
) -> None:
    instance = google.start("predict_event", settings)
    codes: list[int] = []
    ended = threading.Event()

    def send() -> None:
        while not ended.is_set():
            try:
                codes.append(post(instance, event(len(codes))).status_code)
            except requests.ConnectionError:
                return  # it no longer listens: Cloud Run sends to other instances by now

    with ThreadPoolExecutor(4) as senders:
        sending = [senders.submit(send) for _ in range(4)]
        while len(codes) < 40:
            time.sleep(0.01)
        began = time.monotonic()
        instance.process.signal(signal.SIGTERM)
        while instance.process.running:
            assert time.monotonic() - began < 10
            time.sleep(0.01)
        ended.set()
        for each in sending:
            each.result()
    assert set(codes) == {200}
    predicted = (tmp_path / "predictions").read_text().splitlines()
    assert len(predicted) >= len(codes)
