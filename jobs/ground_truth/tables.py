"""Turns events into rows of the tables in store.sql."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

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
_TIME = pa.timestamp("us")
SCHEMAS = {
    PREDICTIONS: {
        "ride_id": pa.string(),
        "model_version": pa.string(),
        "predicted_duration": pa.float64(),
        "published": _TIME,
    },
    RIDE_ENDED: {
        "ride_id": pa.string(),
        "PULocationID": pa.int32(),
        "DOLocationID": pa.int32(),
        "trip_distance": pa.float64(),
        "pickup_datetime": _TIME,
        "dropoff_datetime": _TIME,
        "published": _TIME,
    },
    BAD_EVENTS: {
        "digest": pa.string(),
        "kind": pa.string(),
        "reason": pa.string(),
        "data": pa.binary(),
        "published": _TIME,
    },
}
Row = dict[str, Any]


def to_row(kind: str, message: ReceivedMessage) -> tuple[str, Row]:
    """The table an event belongs in, which is `BAD_EVENTS` if it is invalid, and its row."""
    published = datetime.fromtimestamp(message.published, UTC).replace(tzinfo=None)
    try:
        return kind, _ROWS[kind](decode_json(message.data)) | {"published": published}
    except InvalidRide as error:
        digest = hashlib.sha256(kind.encode() + b"\0" + message.data).hexdigest()
        row = {"digest": digest, "kind": kind, "reason": str(error), "data": message.data}
        return BAD_EVENTS, row | {"published": published}


def _prediction_row(document: object) -> Row:
    event = parse_prediction(document)
    return {
        "ride_id": str(event.ride_id),
        "model_version": event.version,
        "predicted_duration": event.minutes,
    }


def _ride_ended_row(document: object) -> Row:
    event = parse_ride_ended(document)
    ride = event.ride
    return {
        "ride_id": str(event.ride_id),
        "PULocationID": ride.PULocationID,
        "DOLocationID": ride.DOLocationID,
        "trip_distance": ride.trip_distance,
        "pickup_datetime": ride.pickup_datetime,
        "dropoff_datetime": event.dropoff_datetime,
    }


_ROWS: Mapping[str, Callable[[object], Row]] = {PREDICTIONS: _prediction_row, RIDE_ENDED: _ride_ended_row}
