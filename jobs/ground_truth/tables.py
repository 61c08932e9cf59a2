"""Turns events into rows of the tables in store.sql."""

import hashlib
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import asdict

from functions.errors import InvalidRide
from functions.json_decoding import decode_json
from jobs.events.subscribers import ReceivedMessage
from jobs.ground_truth.events import parse_prediction, parse_ride_ended

PREDICTIONS, RIDE_ENDED, BAD_EVENTS = "predictions", "ride_ended", "bad_events"
KEYS: dict[str, tuple[str, ...]] = {
    PREDICTIONS: ("ride_id", "model_version"),
    RIDE_ENDED: ("ride_id",),
    BAD_EVENTS: ("digest",),
}
"""Primary key of each table."""
Row = dict[str, Any]


def to_row(kind: str, message: ReceivedMessage) -> tuple[str, Row]:
    """The table an event belongs in, which is `BAD_EVENTS` if it is invalid, and its row."""
    published = datetime.fromtimestamp(message.published, UTC).replace(tzinfo=None)
    try:
        row = (_prediction_row if kind == PREDICTIONS else _ride_ended_row)(decode_json(message.data))
        return kind, row | {"published": published}
    except InvalidRide as error:
        digest = hashlib.sha256(kind.encode() + b"\0" + message.data).hexdigest()
        row = {"digest": digest, "kind": kind, "reason": str(error), "data": message.data}
        return BAD_EVENTS, row | {"published": published}


def _prediction_row(document: object) -> Row:
    event = parse_prediction(document)
    return asdict(event) | {"ride_id": str(event.ride_id)}


def _ride_ended_row(document: object) -> Row:
    event = parse_ride_ended(document)
    return {"ride_id": str(event.ride_id), "dropoff_datetime": event.dropoff_datetime, **asdict(event.ride)}
