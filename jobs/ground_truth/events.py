"""The two events that `collect` joins: a prediction, and the end of the ride it was made for."""

import re
import sys
from datetime import datetime
from typing import Any

import msgspec

from functions.errors import InvalidRide, Problem
from functions.rides import Ride, RideId, find_ride_id, new_york_time, parse_ride_event
from jobs.scoring.trip_source import DURATION
from jobs.trips.trip_columns import DROPOFF, FIELDS

_SURROGATE = re.compile(r"[\ud800-\udfff]")


class RideEnded(msgspec.Struct, frozen=True):
    """A ride that has ended: its ride event and its drop-off time."""

    ride_id: RideId
    ride: Ride
    """Its `pickup_datetime` is never None."""
    dropoff_datetime: datetime
    """Local time in New York, without a time zone."""


class PredictionEvent(msgspec.Struct, frozen=True):
    """A ride's predicted duration in minutes, and the model version that predicted it."""

    ride_id: RideId
    model_version: str
    predicted_duration: float


def parse_ride_ended(document: object) -> RideEnded:
    """Validates a decoded event `{"ride_id": 256, "ride": {…}, "dropoff_datetime": "2021-03-01T00:21:00"}`.

    The drop-off time may have any of TLC's names, and may be in the ride, as in a TLC record. Raises
    InvalidRide, which lists every invalid field.
    """
    event, problems, dropoff = None, [], None
    try:
        event = parse_ride_event(document)
        if event.ride.pickup_datetime is None:
            problems.append(Problem("#/ride/pickup_datetime", "is missing; the ride's duration needs it"))
    except InvalidRide as error:
        problems += error.problems
    if isinstance(document, dict):
        try:
            dropoff = _find_dropoff(document)
        except InvalidRide as error:
            problems += error.problems
    if event is None or dropoff is None or problems:
        raise InvalidRide(*problems)
    return RideEnded(event.ride_id, event.ride, dropoff)


def _find_dropoff(document: dict[str, Any]) -> datetime:
    """The drop-off time of a ride-ended event; raises InvalidRide if there is none, or more than one."""
    ride = document.get("ride")
    found: dict[str, datetime] = {}
    for parent, fields in (("#", document), ("#/ride", ride if isinstance(ride, dict) else {})):
        for name, value in fields.items():
            if name.lower() not in FIELDS[DROPOFF]:
                continue
            try:
                time = new_york_time(value)
            except ValueError as error:
                raise InvalidRide(Problem(f"{parent}/{name}", str(error))) from error
            if time is not None:
                found[f"{parent}/{name}"] = time
    if not found:
        raise InvalidRide(Problem(f"#/{DROPOFF}", "is missing; the ride's duration needs it"))
    if len(set(found.values())) > 1:
        first, other = list(found)[:2]
        raise InvalidRide(Problem(other, f"differs from {first}: send only one of them"))
    return next(iter(found.values()))


class _PredictionBody(msgspec.Struct):
    version: str
    prediction: dict[str, Any]


def parse_prediction(document: object) -> PredictionEvent:
    """Validates a decoded prediction event `{"version": "1", "prediction": {"ride_id": 256, …}}`.

    Raises InvalidRide if it is not a valid prediction of a ride's duration.
    """
    try:
        event = msgspec.convert(document, _PredictionBody)
    except msgspec.ValidationError as error:
        raise InvalidRide(Problem("#", f"is not a valid prediction event: {error}")) from error
    ride_id = find_ride_id(event.prediction)
    minutes: Any = event.prediction.get(DURATION)
    problems = []
    if ride_id is None:
        problems.append(Problem("#/prediction/ride_id", "must be an integer or a string"))
    # The comparison also rejects NaN, and integers too large for a float.
    if type(minutes) not in {int, float} or not abs(minutes) <= sys.float_info.max:
        problems.append(Problem(f"#/prediction/{DURATION}", "must be a number of minutes"))
    if _SURROGATE.search(event.version):
        problems.append(Problem("#/version", "must be valid Unicode"))
    if ride_id is None or problems:
        raise InvalidRide(*problems)
    return PredictionEvent(ride_id, event.version, float(minutes))
