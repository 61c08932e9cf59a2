"""The two events that are joined: a prediction, and the end of the ride that it was for."""

from datetime import datetime
from math import isfinite
from typing import Any

import msgspec

from functions.errors import InvalidRide, Problem
from functions.rides import Ride, RideId, new_york_time, parse_ride_event, readable_ride_id
from jobs.scoring.trip_source import DURATION


class RideEnded(msgspec.Struct, frozen=True):
    """A ride that has ended: its ride event, and when it was over."""

    ride_id: RideId
    ride: Ride
    """Its `pickup_datetime` is known."""
    dropoff_datetime: datetime
    """New York's clock, without a zone."""


class Predicted(msgspec.Struct, frozen=True):
    """What a model said of a ride."""

    ride_id: RideId
    version: str
    minutes: float


def parse_ride_ended(document: object) -> RideEnded:
    """An event `{"ride_id": 256, "ride": {…}, "dropoff_datetime": "2021-03-01T00:21:00"}`, decoded.

    Raises:
        InvalidRide: names every field that is wrong.
    """
    event, problems, ended = None, [], None
    try:
        event = parse_ride_event(document)
        if event.ride.pickup_datetime is None:
            problems.append(Problem("#/ride/pickup_datetime", "is missing; it tells how long the ride was"))
    except InvalidRide as error:
        problems += error.problems
    if isinstance(document, dict):
        try:
            ended = new_york_time(document.get("dropoff_datetime"))
            if ended is None:
                problems.append(Problem("#/dropoff_datetime", "is missing; it tells when the ride was over"))
        except ValueError as error:
            problems.append(Problem("#/dropoff_datetime", str(error)))
    if event is None or ended is None or problems:
        raise InvalidRide(*problems)
    return RideEnded(event.ride_id, event.ride, ended)


class _PredictionEvent(msgspec.Struct):
    version: str
    prediction: dict[str, Any]


def parse_prediction(document: object) -> Predicted:
    """The course's prediction event, decoded.

    Raises:
        InvalidRide: it is none of a ride's duration.
    """
    try:
        event = msgspec.convert(document, _PredictionEvent)
    except msgspec.ValidationError as error:
        raise InvalidRide(Problem("#", f"is no prediction event: {error}")) from error
    ride_id, minutes = readable_ride_id(event.prediction), _minutes(event.prediction.get(DURATION))
    problems = []
    if ride_id is None:
        problems.append(Problem("#/prediction/ride_id", "must be an integer or a string"))
    if minutes is None:
        problems.append(Problem(f"#/prediction/{DURATION}", "must be a number of minutes"))
    if not _is_unicode(event.version):
        problems.append(Problem("#/version", "must be valid Unicode"))
    if ride_id is None or minutes is None or problems:
        raise InvalidRide(*problems)
    return Predicted(ride_id, event.version, minutes)


def _minutes(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:  # a whole number beyond any float
        return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
