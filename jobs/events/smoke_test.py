"""A ride goes the whole way through a deployment, and is asked for at its door."""

import queue
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import requests

from functions.errors import RidecastError
from jobs.concurrency import in_background
from jobs.events.publishers import open_inlet
from jobs.events.subscribers import Arrival, everything, open_outlet

AGAIN_SECONDS = 1.0
"""Between two questions to a function that does not answer yet, or has another version."""
PASSING = {401, 403, 408, 429, 500, 502, 503, 504}
"""Statuses that pass: a service that starts, and a permission that was given a minute ago."""
RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
FROM_NOWHERE = RIDE | {"PULocationID": 0}
"""There is no such zone, so that only a dead letter can come of it."""
SMOKE_PREFIX = "smoke-"
"""Of our rides' ids; the subscription that is for us filters by it."""


class SmokeFailed(RidecastError):
    """A part of the deployment does not do what it should; the text says which, and where to look."""


class Answer(msgspec.Struct, frozen=True):
    """The course's prediction event, as it comes out of the topic and as HTTP answers an event."""

    model: str
    version: str
    prediction: dict[str, Any]


class Deployment(NamedTuple):
    """Where its parts are."""

    predict_url: str
    """The HTTP function's, without a path."""
    token: str
    """Identity token that it asks for; empty for none."""
    ride_events: str
    """As `jobs.events.publishers.open_inlet` takes it."""
    predictions: str
    """As `jobs.events.subscribers.open_outlet` takes it; all that is in a subscription is acknowledged."""
    dead_letters: str
    """Likewise, but nobody else's letters are acknowledged; empty if there shall be none."""


def try_out(deployment: Deployment, seconds: float, say: Callable[[str], None]) -> None:
    """Tries all parts within `seconds`, and says what they said.

    Raises:
        SmokeFailed: a part does not do as it should.
        NotDelivered: the topic does not take an event.
    """
    deadline = time.monotonic() + seconds
    while True:
        event = _event(RIDE)
        asked = _asked(deployment, event, deadline)
        say(f"HTTP:    version {asked.version}, {asked.prediction}")
        streamed = _streamed(deployment, event, asked.model, deadline)
        say(f"Pub/Sub: version {streamed.version}, {streamed.prediction}")
        if asked.version == streamed.version:
            break
        # Each function looks for a new release at a moment of its own.
        if time.monotonic() + AGAIN_SECONDS > deadline:
            raise SmokeFailed(
                f"events are predicted by version {streamed.version}, HTTP by version {asked.version}, and "
                "that stays so: compare MODEL_URI of both, and look for refused releases in their logs"
            )
        say("         one of them may just be taking over a new release: once more")
        time.sleep(AGAIN_SECONDS)
    if asked != streamed:
        raise SmokeFailed(
            f"the same ride and the same version {asked.version}, but {streamed.prediction} as an event and "
            f"{asked.prediction} over HTTP: compare the functions' source archives, and their models' files"
        )
    say("         equal to the last bit")
    if deployment.dead_letters:
        say(f"A ride from nowhere: {_buried(deployment, deadline)}")


def _event(ride: dict[str, Any]) -> tuple[str, bytes]:
    """A ride's id, and the body of its event."""
    ride_id = SMOKE_PREFIX + uuid.uuid4().hex
    return ride_id, msgspec.json.encode({"ride": ride, "ride_id": ride_id})


def _streamed(deployment: Deployment, event: tuple[str, bytes], model: str, deadline: float) -> Answer:
    """What comes out of the predictions for an event; other models on the same topics predict it, too."""
    ride_id, body = event

    def is_ours(arrival: Arrival) -> bool:
        return (arrival.attributes.get("ride_id"), arrival.attributes.get("model")) == (ride_id, model)

    arrival = _through(deployment.ride_events, body, deployment.predictions, is_ours, deadline)
    return _read(arrival.data, deployment.predictions)


def _buried(deployment: Deployment, deadline: float) -> str:
    """The reason in the dead letter of a ride that cannot be predicted."""
    _, body = _event(FROM_NOWHERE)

    def is_ours(arrival: Arrival) -> bool:
        return arrival.data == body

    letter = _through(
        deployment.ride_events, body, deployment.dead_letters, is_ours, deadline, others_stay=True
    )
    return f"dead letter, {letter.attributes.get('dead_letter_reason', 'given up by Pub/Sub itself')}"


def _through(  # noqa: PLR0913, PLR0917  # the way in, the way out, and what to look for
    into: str,
    body: bytes,
    out_of: str,
    is_ours: Callable[[Arrival], bool],
    deadline: float,
    others_stay: bool = False,
) -> Arrival:
    """Sends an event and waits for what is ours among all that comes out."""
    began = time.monotonic()
    arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
    outlet = open_outlet(out_of, arrivals.put, wanted=is_ours if others_stay else everything)
    try:
        inlet = open_inlet(into)
        inlet.send(body)
        sending = in_background(inlet.finish)
        while (left := deadline - time.monotonic()) > 0:
            if sending.done():
                sending.result()
            try:
                arrival = arrivals.get(timeout=min(left, 0.2))
            except queue.Empty:
                continue
            if is_ours(arrival):
                return arrival
    finally:
        outlet.close()
    waited = f"within {deadline - began:.0f} s"
    if not sending.done():
        raise SmokeFailed(f"{into} has not taken an event {waited}: is it reachable from here?")
    if outlet.trouble:
        raise SmokeFailed(outlet.trouble)
    raise SmokeFailed(
        f"{into} took an event, but nothing came out of {out_of} {waited}: look at predict_event's log, at "
        "what the push subscription could not deliver, and among the dead letters"
    )


def _asked(deployment: Deployment, event: tuple[str, bytes], deadline: float) -> Answer:
    """What the HTTP function answers to the same event."""
    url = f"{deployment.predict_url}/predict"
    with requests.Session() as session:
        session.headers["Content-Type"] = "application/json"
        session.auth = _Bearer(deployment.token)
        # A proxy has no business on this machine's own ports.
        session.trust_env = url.startswith("https://")
        while True:
            passes = True
            try:
                left = max(deadline - time.monotonic(), AGAIN_SECONDS)
                answer = session.post(url, event[1], timeout=left, allow_redirects=False)
                if answer.status_code == requests.codes.ok:
                    return _read(answer.content, url)
                what = f"answers {answer.status_code}: {answer.text[:300]}"
                passes = answer.status_code in PASSING
            except requests.RequestException as error:
                what = f"does not answer: {error}"
            if not passes or time.monotonic() + AGAIN_SECONDS > deadline:
                raise SmokeFailed(f"{url} {what}\nLook at the log of predict, and at who may call it")
            time.sleep(AGAIN_SECONDS)


class _Bearer(requests.auth.AuthBase):
    """Sends a token, which then no .netrc replaces; sends nothing if it is empty."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _read(document: bytes, where: str) -> Answer:
    try:
        return msgspec.json.decode(document, type=Answer)
    except msgspec.MsgspecError as error:
        raise SmokeFailed(f"{where} gives no prediction but {document[:200]!r}: {error}") from error
