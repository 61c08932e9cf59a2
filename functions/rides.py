"""The vocabulary: a ride, a ride event, a prediction. Parsed and validated here and nowhere else.

Field names are the New York Taxi and Limousine Commission's (TLC) own.
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
"""TLC numbers its zones 1 to 265; 264 and 265 stand for an unknown place."""
LONGEST_TRIP_MILES = 100.0
"""No taxi zone is further from another by road; TLC's months hold odometer faults up to 244,152 miles."""
LONGEST_RIDE_ID = 1024
"""Bytes of UTF-8 that a Pub/Sub attribute, in which the id travels, may have."""

_WHOLE_NUMBER = re.compile(r"\d{1,9}(?:\.0+)?", re.ASCII)

RideId = int | str
_Zone = Annotated[int, msgspec.Meta(ge=1, le=LAST_ZONE)]


class Ride(msgspec.Struct, frozen=True):
    """One taxi ride, as known when it begins."""

    PULocationID: int
    """Zone of the pick-up, 1 to 265."""
    DOLocationID: int
    """Zone of the drop-off, 1 to 265."""
    trip_distance: float
    """Miles, 0 to 100; 0 is TLC's way of saying that it was not recorded."""
    pickup_datetime: datetime | None = None
    """New York's clock at the pick-up, without a zone; None where the sender did not say."""


class _PlainRide(msgspec.Struct):
    """A ride as nearly all senders write it: what is anything else is read field by field."""

    PULocationID: _Zone
    DOLocationID: _Zone
    trip_distance: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_TRIP_MILES)]
    pickup_datetime: str | None = None


class RideEvent(msgspec.Struct, frozen=True):
    """A ride and the id under which its sender knows it."""

    ride: Ride
    ride_id: RideId
    """Int or string, given back as it came."""


class Prediction(msgspec.Struct, frozen=True):
    """A number for a ride, and who says so."""

    value: float
    """In the target's unit."""
    target: str
    """What the number is: `ride_duration`."""
    version: str
    """Version of the model that made this number."""

    @property
    def model(self) -> str:
        """Name of the model as the course's events carry it: `ride_duration_prediction_model`."""
        return f"{self.target}_prediction_model"

    def event(self, ride_id: RideId) -> dict[str, Any]:
        """The course's prediction event."""
        return {
            "model": self.model,
            "version": self.version,
            "prediction": {self.target: self.value, "ride_id": ride_id},
        }


def parse_ride(document: object, pointer: str = "#") -> Ride:
    """A ride from a decoded JSON object; other fields in it are passed over.

    Args:
        document: a dict with `PULocationID`, `DOLocationID`, `trip_distance` and, if it is known,
            `pickup_datetime`.
        pointer: where `document` stands in the body, for the error.

    Raises:
        InvalidRide: names every field that is wrong, not only the first.
    """
    try:
        plain = msgspec.convert(document, _PlainRide)
        moment = new_york_time(plain.pickup_datetime)
        return Ride(plain.PULocationID, plain.DOLocationID, plain.trip_distance, moment)
    except (msgspec.ValidationError, ValueError):
        return _parse_fields(document, pointer)


def _parse_fields(document: object, pointer: str) -> Ride:
    """A ride from whatever can be read as one, or all that is wrong with it."""
    if not isinstance(document, dict):
        raise InvalidRide(Problem(pointer, f"must be an object with a ride's fields, not {_kind(document)}"))
    values: list[Any] = []
    problems: list[Problem] = []
    for name, read in _FIELDS:
        try:
            values.append(read(document.get(name)))
        except ValueError as error:
            problems.append(Problem(f"{pointer}/{name}", str(error)))
    if problems:
        raise InvalidRide(*problems)
    return Ride(*values)


def parse_ride_event(document: object, pointer: str = "#") -> RideEvent:
    """A course ride event, `{"ride": {…}, "ride_id": 256}`, from a decoded JSON object.

    Raises:
        InvalidRide: names every field that is wrong.
    """
    if not isinstance(document, dict):
        raise InvalidRide(
            Problem(pointer, f'must be an object {{"ride": …, "ride_id": …}}, not {_kind(document)}')
        )
    problems: list[Problem] = []
    ride = None
    if "ride" in document:
        try:
            ride = parse_ride(document["ride"], f"{pointer}/ride")
        except InvalidRide as error:
            problems.extend(error.problems)
    else:
        problems.append(Problem(f"{pointer}/ride", "is missing; it holds the ride's fields"))
    ride_id: RideId = 0
    try:
        ride_id = _ride_id(document.get("ride_id"))
    except ValueError as error:
        problems.append(Problem(f"{pointer}/ride_id", str(error)))
    if ride is None or problems:
        raise InvalidRide(*problems)
    return RideEvent(ride, ride_id)


def readable_ride_id(document: object) -> RideId | None:
    """The id of an event that may be wrong in every other way; None where that is wrong, too."""
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
        raise ValueError(f"must be a taxi zone, 1 to {LAST_ZONE}, not {_kind(value)}")
    if not 1 <= zone <= LAST_ZONE:
        raise ValueError(f"must be a taxi zone, 1 to {LAST_ZONE}")
    return zone


def _distance(value: object) -> float:
    if value is None:
        raise ValueError("is missing; it must be the distance in miles")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number of miles, not {_kind(value)}")
    # The comparison also refuses NaN, and an int too big for a float without converting it.
    if not 0 <= value <= LONGEST_TRIP_MILES:
        raise ValueError(f"must be 0 to {LONGEST_TRIP_MILES:g} miles")
    return float(value)


def new_york_time(value: object) -> datetime | None:
    """ISO 8601 → naive time on New York's clock, to which a time with an offset is brought.

    Raises:
        ValueError: it is neither that nor None.
    """
    if value is None:
        return None
    wanted = 'must be an ISO 8601 date and time like "2021-03-01T08:30:00"'
    if not isinstance(value, str):
        raise ValueError(f"{wanted}, not {_kind(value)}")
    if "T" not in value and " " not in value:
        raise ValueError(wanted)
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(NEW_YORK).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        raise ValueError(wanted) from None


def _ride_id(value: object) -> RideId:
    if value is None:
        raise ValueError("is missing; it must be an integer or a string")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"must be an integer or a string, not {_kind(value)}")
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError("must fit into 64 bits; send a longer id as a string")
        return value
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode") from None
    if size > LONGEST_RIDE_ID:
        raise ValueError(f"must have at most {LONGEST_RIDE_ID} bytes of UTF-8")
    return value


def _kind(value: object) -> str:
    """JSON's name for the type of a decoded value."""
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
"""In the order of Ride's own fields."""
