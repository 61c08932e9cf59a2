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
from jobs.events.subscribers import ReceivedMessage, accept_all, open_subscriber

RETRY_SECONDS = 1.0
"""Pause before a function is asked again that is not ready yet, or has another version."""
TRANSIENT_STATUSES = {401, 403, 408, 429, 500, 502, 503, 504}
"""A service that is starting, or a permission that was granted a minute ago."""
RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
UNPREDICTABLE_RIDE = RIDE | {"PULocationID": 0}
"""There is no such zone, so the event can only be dead-lettered."""
SMOKE_PREFIX = "smoke-"
"""Prefix of the rides' ids, by which the smoke test's own subscription filters."""


class SmokeFailed(RidecastError):
    """A part of the deployment does not work; the text says which, and where to look."""


class PredictionEvent(msgspec.Struct, frozen=True):
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


class _Event(NamedTuple):
    ride_id: str
    body: bytes


def run_smoke_test(deployment: Deployment, seconds: float, echo: Callable[[str], None]) -> None:
    """Checks all parts of a deployment within `seconds`, and echoes what they return.

    Raises:
        SmokeFailed: a part does not work.
        NotDelivered: the topic did not confirm an event.
    """
    deadline = time.monotonic() + seconds
    while True:
        event = _new_event(RIDE)
        over_http = _predict_over_http(deployment, event, deadline)
        echo(f"HTTP:    version {over_http.version}, {over_http.prediction}")
        streamed = _predict_over_pubsub(deployment, event, over_http.model, deadline)
        echo(f"Pub/Sub: version {streamed.version}, {streamed.prediction}")
        if over_http.version == streamed.version:
            break
        # Each function checks for a new release at its own time.
        if time.monotonic() + RETRY_SECONDS > deadline:
            raise SmokeFailed(
                f"events are predicted by version {streamed.version}, HTTP requests by version "
                f"{over_http.version}, and that does not change: compare MODEL_URI of both functions, and "
                "look for refused releases in their logs"
            )
        echo("         one of them may be switching to a new release: trying once more")
        time.sleep(RETRY_SECONDS)
    if over_http != streamed:
        raise SmokeFailed(
            f"the same ride and the same version {over_http.version}, but {streamed.prediction} as an event "
            f"and {over_http.prediction} over HTTP: compare the functions' source archives and model files"
        )
    echo("         equal to the last bit")
    if deployment.dead_letters:
        echo(f"Unpredictable ride: {_dead_letter_reason(deployment, deadline)}")


def _new_event(ride: dict[str, Any]) -> _Event:
    ride_id = SMOKE_PREFIX + uuid.uuid4().hex
    return _Event(ride_id, msgspec.json.encode({"ride": ride, "ride_id": ride_id}))


def _predict_over_http(deployment: Deployment, event: _Event, deadline: float) -> PredictionEvent:
    url = f"{deployment.predict_url}/predict"
    with requests.Session() as session:
        session.headers["Content-Type"] = "application/json"
        session.auth = _BearerAuth(deployment.token)
        # A proxy must not be used for ports of this machine.
        session.trust_env = url.startswith("https://")
        while True:
            transient = True
            try:
                remaining = max(deadline - time.monotonic(), RETRY_SECONDS)
                response = session.post(url, event.body, timeout=remaining, allow_redirects=False)
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
    deployment: Deployment, event: _Event, model: str, deadline: float
) -> PredictionEvent:
    """Waits for the event's prediction by one model; others may be subscribed to the same topic."""

    def is_ours(message: ReceivedMessage) -> bool:
        return (message.attributes.get("ride_id"), message.attributes.get("model")) == (event.ride_id, model)

    expected = _Expected(deployment.predictions, is_ours)
    message = _send_and_receive(deployment.ride_events, event.body, expected, deadline)
    return _decode(message.data, deployment.predictions)


def _dead_letter_reason(deployment: Deployment, deadline: float) -> str:
    """Waits for the dead letter of a ride that cannot be predicted."""
    body = _new_event(UNPREDICTABLE_RIDE).body

    def is_ours(message: ReceivedMessage) -> bool:
        return message.data == body

    expected = _Expected(deployment.dead_letters, is_ours, accept=is_ours)
    letter = _send_and_receive(deployment.ride_events, body, expected, deadline)
    return f"dead letter, {letter.attributes.get('dead_letter_reason', 'given up by Pub/Sub itself')}"


class _Expected(NamedTuple):
    """The message to wait for."""

    source: str
    is_ours: Callable[[ReceivedMessage], bool]
    accept: Callable[[ReceivedMessage], bool] = accept_all
    """Which messages to acknowledge."""


def _send_and_receive(destination: str, body: bytes, expected: _Expected, deadline: float) -> ReceivedMessage:
    """Sends an event and returns the message that is expected to result from it."""
    began = time.monotonic()
    messages: queue.SimpleQueue[ReceivedMessage] = queue.SimpleQueue()
    subscriber = open_subscriber(expected.source, messages.put, accept=expected.accept)
    try:
        publisher = open_publisher(destination)
        publisher.send(body)
        sending = run_in_background(publisher.finish)
        while (remaining := deadline - time.monotonic()) > 0:
            if sending.done():
                sending.result()
            try:
                message = messages.get(timeout=min(remaining, 0.2))
            except queue.Empty:
                continue
            if expected.is_ours(message):
                return message
    finally:
        subscriber.close()
    waited = f"within {deadline - began:.0f} s"
    if not sending.done():
        raise SmokeFailed(f"{destination} has not accepted an event {waited}: is it reachable from here?")
    if subscriber.last_error:
        raise SmokeFailed(subscriber.last_error)
    raise SmokeFailed(
        f"{destination} accepted an event, but nothing came out of {expected.source} {waited}: look at "
        "predict_event's log, at the push subscription's undelivered messages, and at the dead letters"
    )


class _BearerAuth(requests.auth.AuthBase):
    """Sends a token, if there is one, in place of any credentials from .netrc."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _decode(document: bytes, source: str) -> PredictionEvent:
    try:
        return msgspec.json.decode(document, type=PredictionEvent)
    except msgspec.MsgspecError as error:
        raise SmokeFailed(f"{source} returned no prediction but {document[:200]!r}: {error}") from error
