"""Smoke test of a deployment: one ride through Pub/Sub and over HTTP must give the same prediction."""

import queue
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import requests

from functions.errors import RidecastError
from jobs.concurrency import run_in_background
from jobs.events.publishers import open_publisher
from jobs.events.subscribers import Condition, ReceivedMessage, accept_all, open_subscriber

RETRY_SECONDS = 1.0
"""Pause before a function is asked again that is not ready yet."""
MAX_PAUSE_SECONDS = 10.0
"""Longest pause between two rides while the functions have different versions; the first is RETRY_SECONDS."""
LAST_RIDE_SECONDS = 2.0
"""Least time for a ride's two predictions."""
TRANSIENT_STATUSES = {401, 403, 408, 429, 500, 502, 503, 504}
"""A service that is starting, or a permission that was granted a minute ago."""
RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
UNPREDICTABLE_RIDE = RIDE | {"PULocationID": 0}
"""There is no such zone, so the event can only be dead-lettered."""
SMOKE_PREFIX = "smoke-"
"""Prefix of the rides' ids, by which the smoke test's own subscription filters."""


class SmokeFailed(RidecastError):
    """A part of the deployment does not work; the text says which, and where to look."""


class VersionedPrediction(msgspec.Struct, frozen=True):
    """A prediction event, as published to the topic and as the HTTP function returns it for an event."""

    model: str
    version: str
    prediction: dict[str, Any]


class Deployment(NamedTuple):
    """The addresses of a deployment's parts."""

    predict_url: str
    """The HTTP function's base URL."""
    token: str
    """Identity token for the HTTP function; empty for none."""
    ride_events: str
    """Destination for `jobs.events.publishers.open_publisher`."""
    predictions: str
    """Source for `jobs.events.subscribers.open_subscriber`; all messages in it are acknowledged."""
    dead_letters: str
    """Source of dead letters, of which only the test's own is acknowledged; empty skips this check."""


def run_smoke_test(deployment: Deployment, seconds: float, echo: Callable[[str], None]) -> None:
    """Checks all parts of a deployment within `seconds`, and echoes what they return.

    Raises SmokeFailed if a part does not work, and NotDelivered if the topic did not confirm an event.
    """
    deadline = time.monotonic() + seconds
    over_http, streamed = _wait_for_one_version(deployment, deadline, echo)
    if over_http != streamed:
        raise SmokeFailed(
            f"the same ride and the same version {over_http.version}, but {streamed.prediction} as an event "
            f"and {over_http.prediction} over HTTP: compare the functions' source archives and model files"
        )
    echo("         equal to the last bit")
    if deployment.dead_letters:
        echo(f"Unpredictable ride: {_dead_letter_reason(deployment, deadline)}")


def _wait_for_one_version(
    deployment: Deployment, deadline: float, echo: Callable[[str], None]
) -> tuple[VersionedPrediction, VersionedPrediction]:
    """Sends rides until one has predictions by the same version; echoes each change of a version.

    Returns that ride's predictions over HTTP and as an event. Raises SmokeFailed after the deadline.
    """
    pause = RETRY_SECONDS
    shown: dict[str, str] = {}
    while True:
        ride_id = SMOKE_PREFIX + uuid.uuid4().hex
        over_http = _predict_over_http(deployment, ride_id, deadline)
        streamed = _predict_over_pubsub(deployment, ride_id, over_http.model, deadline)
        for name, each in (("HTTP:   ", over_http), ("Pub/Sub:", streamed)):
            if shown.get(name) != each.version:
                shown[name] = each.version
                echo(f"{name} version {each.version}, {each.prediction}")
        if over_http.version == streamed.version:
            return over_http, streamed
        # Each function checks for a new release at its own time.
        remaining = deadline - time.monotonic() - LAST_RIDE_SECONDS
        if remaining < RETRY_SECONDS:
            raise SmokeFailed(
                f"events are predicted by version {streamed.version}, HTTP requests by version "
                f"{over_http.version}, and that does not change: compare MODEL_URI of both functions, and "
                "look for refused releases in their /health and logs"
            )
        if pause == RETRY_SECONDS:
            echo(f"         one may be switching to a new release: trying again for up to {remaining:.0f} s")
        time.sleep(min(pause, remaining))
        pause = min(2 * pause, MAX_PAUSE_SECONDS)


def _encode_event(ride: dict[str, Any], ride_id: str) -> bytes:
    return msgspec.json.encode({"ride": ride, "ride_id": ride_id})


def _predict_over_http(deployment: Deployment, ride_id: str, deadline: float) -> VersionedPrediction:
    body = _encode_event(RIDE, ride_id)
    url = f"{deployment.predict_url}/predict"
    with requests.Session() as session:
        session.headers["Content-Type"] = "application/json"
        if deployment.token:
            session.headers["Authorization"] = f"Bearer {deployment.token}"
        # Otherwise, credentials from .netrc would be sent in place of the token.
        session.auth = lambda request: request
        # A proxy must not be used for ports of this machine.
        session.trust_env = url.startswith("https://")
        while True:
            transient = True
            try:
                remaining = max(deadline - time.monotonic(), RETRY_SECONDS)
                response = session.post(url, body, timeout=remaining, allow_redirects=False)
                if response.status_code == requests.codes.ok:
                    return _decode(response.content, url)
                problem = f"answers {response.status_code}: {response.text[:300]}"
                transient = response.status_code in TRANSIENT_STATUSES
            except requests.RequestException as error:
                problem = f"does not answer: {error}"
            if not transient or time.monotonic() + RETRY_SECONDS > deadline:
                raise SmokeFailed(f"{url} {problem}\nLook at the log of predict, and at who may call it")
            time.sleep(RETRY_SECONDS)


def _predict_over_pubsub(
    deployment: Deployment, ride_id: str, model: str, deadline: float
) -> VersionedPrediction:
    """Waits for the event's prediction by one model; others may be subscribed to the same topic."""

    def is_ours(message: ReceivedMessage) -> bool:
        return (message.attributes.get("ride_id"), message.attributes.get("model")) == (ride_id, model)

    body, source = _encode_event(RIDE, ride_id), deployment.predictions
    return _decode(_send_and_receive(deployment, body, source, is_ours, deadline).data, source)


def _dead_letter_reason(deployment: Deployment, deadline: float) -> str:
    """Waits for the dead letter of a ride that cannot be predicted."""
    body = _encode_event(UNPREDICTABLE_RIDE, SMOKE_PREFIX + uuid.uuid4().hex)
    source = deployment.dead_letters
    letter = _send_and_receive(deployment, body, source, lambda message: message.data == body, deadline)
    return f"dead letter, {letter.attributes.get('dead_letter_reason', 'given up by Pub/Sub itself')}"


def _send_and_receive(
    deployment: Deployment, body: bytes, source: str, is_ours: Condition, deadline: float
) -> ReceivedMessage:
    """Sends an event and returns the message that results from it."""
    # Other dead letters must stay for their readers.
    accept = is_ours if source == deployment.dead_letters else accept_all
    began = time.monotonic()
    messages: queue.SimpleQueue[ReceivedMessage] = queue.SimpleQueue()
    subscriber = open_subscriber(source, messages.put, accept=accept)
    try:
        publisher = open_publisher(deployment.ride_events)
        publisher.send(body)
        sending = run_in_background(publisher.finish)
        while (remaining := deadline - time.monotonic()) > 0:
            if sending.done():
                sending.result()
            try:
                message = messages.get(timeout=min(remaining, 0.2))
            except queue.Empty:
                continue
            if is_ours(message):
                return message
    finally:
        subscriber.close()
    waited = f"within {deadline - began:.0f} s"
    if not sending.done():
        raise SmokeFailed(
            f"{deployment.ride_events} has not accepted an event {waited}: is it reachable from here?"
        )
    if subscriber.last_error:
        raise SmokeFailed(subscriber.last_error)
    raise SmokeFailed(
        f"{deployment.ride_events} accepted an event, but nothing came out of {source} {waited}: look at "
        "predict_event's log, at the push subscription's undelivered messages, and at the dead letters"
    )


def _decode(document: bytes, source: str) -> VersionedPrediction:
    try:
        return msgspec.json.decode(document, type=VersionedPrediction)
    except msgspec.MsgspecError as error:
        raise SmokeFailed(f"{source} returned no prediction but {document[:200]!r}: {error}") from error
