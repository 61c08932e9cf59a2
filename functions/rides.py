"""Rides, ride events and predictions: their only definition, parsing and validation.

Field names are those of the New York Taxi and Limousine Commission (TLC).
"""

import re
from collections.abc import Callable
from datetime import datetime
from math import isfinite
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from functions.errors import InvalidRide, Problem

NEW_YORK = ZoneInfo("America/New_York")
LAST_ZONE = 265
"""TLC's zones are 1 to 265; 264 and 265 mean that the location is unknown."""
MAX_TRIP_MILES = 100.0
"""No two zones are further apart by road; TLC's data has odometer errors of up to 244,152 miles."""
MAX_RIDE_ID_BYTES = 1024
"""Of UTF-8: the limit of a Pub/Sub attribute, which carries the id."""

_WHOLE_NUMBER = re.compile(r"\d{1,9}(?:\.0+)?", re.ASCII)

RideId = int | str
_Zone = Annotated[int, msgspec.Meta(ge=1, le=LAST_ZONE)]


class Ride(msgspec.Struct, frozen=True):
    """One taxi ride, as known at its start."""

    PULocationID: int
    """Zone of the pick-up, 1 to 265."""
    DOLocationID: int
    """Zone of the drop-off, 1 to 265."""
    trip_distance: float
    """Miles, 0 to 100; 0 is TLC's code for not recorded."""
    pickup_datetime: datetime | None = None
    """Naive New York time of the pick-up; None if the sender did not provide it."""


class _PlainRide(msgspec.Struct):
    """A ride as nearly all senders write it; all others are parsed field by field."""

    PULocationID: _Zone
    DOLocationID: _Zone
    trip_distance: Annotated[float, msgspec.Meta(ge=0, le=MAX_TRIP_MILES)]
    pickup_datetime: str | None = None


class RideEvent(msgspec.Struct, frozen=True):
    """A ride and its sender's id for it."""

    ride: Ride
    ride_id: RideId
    """Integer or string, returned unchanged."""


class Prediction(msgspec.Struct, frozen=True):
    """A predicted value, and the model version that predicted it."""

    value: float
    """In the target's unit."""
    target: str
    """The predicted quantity: `ride_duration`."""
    version: str
    """Version of the model."""

    @property
    def model(self) -> str:
        """The model's name in the course's events: `ride_duration_prediction_model`."""
        return f"{self.target}_prediction_model"

    def event(self, ride_id: RideId) -> dict[str, Any]:
        """The course's prediction event."""
        return {
            "model": self.model,
            "version": self.version,
            "prediction": {self.target: self.value, "ride_id": ride_id},
        }


def parse_ride(document: object, pointer: str = "#") -> Ride:
    """A ride from a decoded JSON object with the fields of `Ride`; additional fields are ignored.

    Raises InvalidRide with every invalid field, not only the first; `pointer` is the object's in the body.
    """
    try:
        plain = msgspec.convert(document, _PlainRide)
        pickup = new_york_time(plain.pickup_datetime)
        return Ride(plain.PULocationID, plain.DOLocationID, plain.trip_distance, pickup)
    except (msgspec.ValidationError, ValueError):
        return _parse_fields(document, pointer)


def _parse_fields(document: object, pointer: str) -> Ride:
    """A ride from leniently parsed fields, or an error that lists every invalid field."""
    if not isinstance(document, dict):
        detail = f"must be an object with the fields of a ride, not {_json_type(document)}"
        raise InvalidRide(Problem(pointer, detail))
    values: list[Any] = []
    problems: list[Problem] = []
    for name, parse in _FIELDS:
        try:
            values.append(parse(document.get(name)))
        except ValueError as error:
            problems.append(Problem(f"{pointer}/{name}", str(error)))
    if problems:
        raise InvalidRide(*problems)
    return Ride(*values)


def parse_ride_event(document: object, pointer: str = "#") -> RideEvent:
    """A course ride event, `{"ride": {…}, "ride_id": 256}`, from a decoded JSON object.

    Raises InvalidRide with every invalid field.
    """
    if not isinstance(document, dict):
        detail = f'must be an object {{"ride": …, "ride_id": …}}, not {_json_type(document)}'
        raise InvalidRide(Problem(pointer, detail))
    problems: list[Problem] = []
    ride = None
    if "ride" in document:
        try:
            ride = parse_ride(document["ride"], f"{pointer}/ride")
        except InvalidRide as error:
            problems.extend(error.problems)
    else:
        problems.append(Problem(f"{pointer}/ride", "is missing; it must hold the fields of a ride"))
    ride_id: RideId = 0
    try:
        ride_id = _ride_id(document.get("ride_id"))
    except ValueError as error:
        problems.append(Problem(f"{pointer}/ride_id", str(error)))
    if ride is None or problems:
        raise InvalidRide(*problems)
    return RideEvent(ride, ride_id)


def find_ride_id(document: object) -> RideId | None:
    """The id of an event that may be otherwise invalid; None if the id is invalid, too."""
    try:
        return _ride_id(document.get("ride_id")) if isinstance(document, dict) else None
    except ValueError:
        return None


def _zone(value: object) -> int:
    """Zone 130 from 130, "130" or 130.0: tables with nulls turn ids into floats."""
    if type(value) is int:
        zone = value
    elif isinstance(value, float) and value.is_integer():
        zone = int(value)
    elif isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
        zone = int(float(value))
    elif value is None:
        raise ValueError(f"is missing; it must be a taxi zone, 1 to {LAST_ZONE}")
    else:
        raise ValueError(f"must be a taxi zone, 1 to {LAST_ZONE}, not {_json_type(value)}")
    if not 1 <= zone <= LAST_ZONE:
        raise ValueError(f"must be a taxi zone, 1 to {LAST_ZONE}")
    return zone


def _distance(value: object) -> float:
    if value is None:
        raise ValueError("is missing; it must be the distance in miles")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number of miles, not {_json_type(value)}")
    # The comparison also rejects NaN, and integers too large for a float.
    if not 0 <= value <= MAX_TRIP_MILES:
        raise ValueError(f"must be 0 to {MAX_TRIP_MILES:g} miles")
    return float(value)


def new_york_time(value: object) -> datetime | None:
    """ISO 8601 → naive New York time; times with an offset are converted.

    Raises ValueError if `value` is neither an ISO 8601 date and time nor None.
    """
    if value is None:
        return None
    expected = 'must be an ISO 8601 date and time like "2021-03-01T08:30:00"'
    if not isinstance(value, str):
        raise ValueError(f"{expected}, not {_json_type(value)}")
    if "T" not in value and " " not in value:
        raise ValueError(expected)
    try:
        time = datetime.fromisoformat(value)
        return time.astimezone(NEW_YORK).replace(tzinfo=None) if time.tzinfo else time
    except (ValueError, OverflowError):
        raise ValueError(expected) from None


def _ride_id(value: object) -> RideId:
    if value is None:
        raise ValueError("is missing; it must be an integer or a string")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"must be an integer or a string, not {_json_type(value)}")
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError("must fit into 64 bits; send a larger id as a string")
        return value
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode") from None
    if size > MAX_RIDE_ID_BYTES:
        raise ValueError(f"must have at most {MAX_RIDE_ID_BYTES} bytes in UTF-8")
    return value


def _json_type(value: object) -> str:
    """The JSON type of a decoded value, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, float) and not isfinite(value):
        return "a number that is not finite"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an object" if isinstance(value, dict) else "an array"


_FIELDS: tuple[tuple[str, Callable[[object], Any]], ...] = (
    ("PULocationID", _zone),
    ("DOLocationID", _zone),
    ("trip_distance", _distance),
    ("pickup_datetime", new_york_time),
)
"""Field parsers, in the order of Ride's fields."""
