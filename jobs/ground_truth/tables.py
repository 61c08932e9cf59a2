"""Events as rows of the tables that `collect` keeps; `store.sql` makes these."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from functions.errors import InvalidRide
from functions.json_decoding import read_document
from jobs.events.subscribers import Arrival
from jobs.ground_truth.events import Predicted, RideEnded, parse_prediction, parse_ride_ended

PREDICTIONS, ENDED, BAD = "predictions", "ride_ended", "bad_events"
KEYS: dict[str, tuple[str, ...]] = {
    PREDICTIONS: ("ride_id", "model_version"),
    ENDED: ("ride_id",),
    BAD: ("digest",),
}
"""What a row of each table is about: there is no second one of it."""
_TIME = pa.timestamp("us")
SCHEMAS = {
    PREDICTIONS: {
        "ride_id": pa.string(),
        "model_version": pa.string(),
        "predicted_duration": pa.float64(),
        "published": _TIME,
    },
    ENDED: {
        "ride_id": pa.string(),
        "PULocationID": pa.int32(),
        "DOLocationID": pa.int32(),
        "trip_distance": pa.float64(),
        "pickup_datetime": _TIME,
        "dropoff_datetime": _TIME,
        "published": _TIME,
    },
    BAD: {
        "digest": pa.string(),
        "kind": pa.string(),
        "reason": pa.string(),
        "data": pa.binary(),
        "published": _TIME,
    },
}
Row = dict[str, Any]


def row_of(kind: str, arrival: Arrival) -> tuple[str, Row]:
    """The table in which an event belongs, and its row there."""
    published = datetime.fromtimestamp(arrival.published, UTC).replace(tzinfo=None)
    try:
        return kind, _ROWS[kind](read_document(arrival.data)) | {"published": published}
    except InvalidRide as error:
        digest = hashlib.sha256(kind.encode() + b"\0" + arrival.data).hexdigest()
        aside = {"digest": digest, "kind": kind, "reason": str(error), "data": arrival.data}
        return BAD, aside | {"published": published}


def _predicted(document: object) -> Row:
    said: Predicted = parse_prediction(document)
    return {
        "ride_id": str(said.ride_id),
        "model_version": said.version,
        "predicted_duration": said.minutes,
    }


def _ended(document: object) -> Row:
    event: RideEnded = parse_ride_ended(document)
    ride = event.ride
    return {
        "ride_id": str(event.ride_id),
        "PULocationID": ride.PULocationID,
        "DOLocationID": ride.DOLocationID,
        "trip_distance": ride.trip_distance,
        "pickup_datetime": ride.pickup_datetime,
        "dropoff_datetime": event.dropoff_datetime,
    }


_ROWS: Mapping[str, Callable[[object], Row]] = {PREDICTIONS: _predicted, ENDED: _ended}
