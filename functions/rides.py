"""Rides, ride events and predictions: their only definition, parsing and validation.

Field names are those of the New York Taxi and Limousine Commission (TLC).
"""

import json
import re
from collections.abc import Callable
from datetime import datetime
from math import inf, isfinite
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from functions.errors import InvalidRide, Problem
from functions.zones import find_zones

NEW_YORK = ZoneInfo("America/New_York")
LAST_ZONE = 265
"""TLC's zones are 1 to 265; 264 and 265 mean that the location is unknown."""
MAX_TRIP_MILES = 100.0
"""No two zones are further apart by road; TLC's data has odometer errors of up to 244,152 miles."""
EXAMPLE_EVENT = '{"ride": {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}, "ride_id": 256}'
MAX_RIDE_ID_BYTES = 1024
"""Of UTF-8: the limit of a Pub/Sub attribute, which carries the id."""

FIELD_NAMES: dict[str, tuple[str, ...]] = {
    "PULocationID": ("pulocationid",),
    "DOLocationID": ("dolocationid",),
    "trip_distance": ("trip_distance", "trip_miles"),
    "pickup_datetime": (
        "pickup_datetime",
        "lpep_pickup_datetime",
        "tpep_pickup_datetime",
        "trip_pickup_datetime",
    ),
}
"""Field of `Ride` → its names in TLC's data of all years and taxis, in lower case; any case is accepted."""
RIDE_FIELDS = tuple(FIELD_NAMES)
"""In the order of the BigQuery function's arguments; all but the last are required."""
NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"
"""Pattern of a number written as text, for Python (with `re.ASCII`) and Arrow."""
NULL_TEXTS = frozenset({"", "nan", "nat"})
"""Texts, in lower case and without surrounding space, that mean that there is no value."""

_FIELDS_BY_NAME = {name: field for field, names in FIELD_NAMES.items() for name in names}
_NUMBER = re.compile(f"{NUMBER}|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)
_WHOLE_NUMBER = re.compile(r"\d{1,9}(?:\.0+)?", re.ASCII)
_US_TIME = re.compile(
    r"(\d{1,2})/(\d{1,2})/(\d{4}),? +(\d{1,2}):(\d{2})(?::(\d{2}))?(?: *([AP])M)?", re.ASCII | re.IGNORECASE
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_ISO_8601 = 'must be an ISO 8601 date and time like "2021-03-01T08:30:00"'
_EPOCH_HINT = (
    ": a number does not say whether it counts from New York time or from UTC; in pandas, write "
    'to_json(date_format="iso")'
)
_MISSING = {
    "PULocationID": f"is missing; it must be a taxi zone, 1 to {LAST_ZONE}",
    "DOLocationID": f"is missing; it must be a taxi zone, 1 to {LAST_ZONE}",
    "trip_distance": "is missing; it must be the distance in miles, or 0 if it is not known",
}
_MAX_SHOWN = 40
"""Characters of a wrong text that an error shows."""
_MAX_SHOWN_NUMBER = 1e15

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


class _PlainRide(msgspec.Struct, forbid_unknown_fields=True):
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
    repaired: tuple[str, ...] = ()
    """Fields of the ride whose impossible value was read as not recorded: `("trip_distance",)` or none."""


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


def field_of(name: str) -> str | None:
    """The field of `Ride` that has this name in TLC's data, in any case; None if none has."""
    # Some letters outside ASCII have a lower case within it.
    return _FIELDS_BY_NAME.get(name.lower()) if name.isascii() else None


def is_null(value: object) -> bool:
    """Whether a decoded value means that there is none: null, NaN, or one of `NULL_TEXTS`."""
    if isinstance(value, str):
        return value.strip().lower() in NULL_TEXTS
    return value is None or value != value  # noqa: PLR0124  # only NaN differs from itself


def is_recorded(miles: Any) -> Any:
    """Whether a distance was recorded and is possible: above 0, at most `MAX_TRIP_MILES`.

    On every interface a distance for which this is false counts as 0, TLC's value for not recorded. Takes a
    number, or an array of numbers for a mask.
    """
    return (miles > 0) & (miles <= MAX_TRIP_MILES)


def parse_ride(document: object, pointer: str = "#", repaired: list[str] | None = None) -> Ride:
    """A ride from a decoded JSON object with the fields of `Ride`, under any of their names.

    Additional fields are ignored.

    Args:
        document: the decoded JSON.
        pointer: the object's JSON pointer in the body.
        repaired: takes the pointer to a distance that is impossible and was therefore read as 0.

    Raises:
        InvalidRide: with every invalid field, not only the first.
    """
    try:
        plain = msgspec.convert(document, _PlainRide)
        pickup = new_york_time(plain.pickup_datetime)
        # -0.0 becomes 0.0, as in a table of trips.
        return Ride(plain.PULocationID, plain.DOLocationID, plain.trip_distance or 0.0, pickup)
    except (msgspec.ValidationError, ValueError):
        return _parse_fields(document, pointer, repaired)


def _parse_fields(document: object, pointer: str, repaired: list[str] | None) -> Ride:
    """A ride from leniently parsed fields, or an error that lists every invalid field."""
    if not isinstance(document, dict):
        detail = f"must be an object with the fields of a ride, not {_json_type(document)}"
        raise InvalidRide(Problem(pointer, detail))
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in document.items():
        field = field_of(name)
        if field is None:
            continue
        if is_null(value):
            names.setdefault(field, name)
            continue
        try:
            parsed = _PARSERS[field](value)
        except ValueError as error:
            problems.append(Problem(f"{pointer}/{name}", str(error)))
            values.setdefault(field, None)
            continue
        if values.setdefault(field, parsed) not in (parsed, None):
            detail = f"differs from {names[field]}, another name of the same field: send only one of them"
            problems.append(Problem(f"{pointer}/{name}", detail))
        names[field] = name
    for field in RIDE_FIELDS[:3]:
        if field not in values:
            problems.append(Problem(f"{pointer}/{names.get(field, field)}", _MISSING[field]))
    if problems:
        raise InvalidRide(*problems)
    miles = values["trip_distance"]
    if not is_recorded(miles):
        if miles and repaired is not None:
            repaired.append(f"{pointer}/{names['trip_distance']}")
        miles = 0.0
    return Ride(values["PULocationID"], values["DOLocationID"], miles, values.get("pickup_datetime"))


def parse_ride_event(document: object, pointer: str = "#", repaired: list[str] | None = None) -> RideEvent:
    """A course ride event, `{"ride": {…}, "ride_id": 256}`, from a decoded JSON object.

    Arguments and errors are those of `parse_ride`.
    """
    if not isinstance(document, dict):
        detail = f'must be an object {{"ride": …, "ride_id": …}}, not {_json_type(document)}'
        raise InvalidRide(Problem(pointer, detail))
    problems: list[Problem] = []
    pointers: list[str] = []
    ride = None
    if "ride" in document:
        try:
            ride = parse_ride(document["ride"], f"{pointer}/ride", pointers)
        except InvalidRide as error:
            problems.extend(error.problems)
    else:
        problems.append(Problem(f"{pointer}/ride", f"is missing; an event looks like {EXAMPLE_EVENT}"))
    ride_id: RideId = 0
    try:
        ride_id = _ride_id(document.get("ride_id"))
    except ValueError as error:
        problems.append(Problem(f"{pointer}/ride_id", str(error)))
    if ride is None or problems:
        raise InvalidRide(*problems)
    if repaired is not None:
        repaired += pointers
    return RideEvent(ride, ride_id, ("trip_distance",) if pointers else ())


def find_ride_id(document: object) -> RideId | None:
    """The id of an event that may be otherwise invalid; None if the id is invalid, too."""
    try:
        return _ride_id(document.get("ride_id")) if isinstance(document, dict) else None
    except ValueError:
        return None


def _zone(value: object) -> int:
    """Zone 130 from 130, "130" or 130.0: tables with nulls turn ids into floats."""
    zone = 0
    if type(value) is int:
        zone = value
    elif isinstance(value, float) and value.is_integer():
        zone = int(value)
    elif isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
        zone = int(float(value))
    if 1 <= zone <= LAST_ZONE:
        return zone
    if isinstance(value, str) and (found := find_zones(value)):
        numbers = ", ".join(f"{name} is zone {' or '.join(map(str, ids))}" for name, ids in found.items())
        raise ValueError(f"must be a taxi zone's number, 1 to {LAST_ZONE}, not {_show(value)}: {numbers}")
    raise ValueError(f"must be a taxi zone, 1 to {LAST_ZONE}, like 130, not {_show(value)}")


def _distance(value: object) -> float:
    """Miles, possible or not, as a number or text; infinite if too large for a float."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number of miles like 3.66, not {_show(value)}")
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def new_york_time(value: object) -> datetime | None:
    """A decoded value → naive New York time, or None if the value is null.

    Takes ISO 8601, where an offset is converted, and TLC's US form `MM/DD/YYYY HH:MM:SS AM`. Raises
    ValueError for all else.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        if is_null(value):
            return None
        hint = _EPOCH_HINT if isinstance(value, int | float) and not isinstance(value, bool) else ""
        raise ValueError(f"{_ISO_8601}, not {_show(value)}{hint}")
    text = value.strip()
    try:
        if "T" in text or " " in text:
            time = datetime.fromisoformat(text)
            return time.astimezone(NEW_YORK).replace(tzinfo=None) if time.tzinfo else time
    except (ValueError, OverflowError):
        pass
    return _parse_other_time(text)


def _parse_other_time(text: str) -> datetime | None:
    """The same for text that is not ISO 8601."""
    if is_null(text):
        return None
    if text.endswith(" UTC"):  # as BigQuery writes a TIMESTAMP into files
        return new_york_time(text.removesuffix(" UTC") + "+00:00")
    if not (found := _US_TIME.fullmatch(text)):
        hint = ": the time of day is missing" if _DATE.fullmatch(text) else ""
        if _NUMBER.fullmatch(text):
            hint = _EPOCH_HINT
        raise ValueError(f"{_ISO_8601}, not {_show(text)}{hint}")
    month, day, year, hour, minute, second = (int(number or 0) for number in found.groups()[:6])
    half = found[7]
    if not half:
        raise ValueError(
            f'{_ISO_8601}, or "03/01/2021 08:30:00 AM", not {_show(text)}: without AM or PM, the day could '
            "come before the month"
        )
    if not 1 <= hour <= 12:
        raise ValueError(f"{_ISO_8601}, not {_show(text)}: with AM or PM the hour is 1 to 12")
    try:
        return datetime(year, month, day, hour % 12 + (12 if half in "Pp" else 0), minute, second)
    except ValueError as error:
        raise ValueError(f"{_ISO_8601}, not {_show(text)}: {error}") from None


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


def _show(value: object) -> str:
    """A wrong value for an error message, in printable ASCII; long and nested ones are shortened."""
    if isinstance(value, str):
        return json.dumps(value if len(value) <= _MAX_SHOWN else value[:_MAX_SHOWN] + "...")
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MAX_SHOWN_NUMBER:
        return str(value)
    return _json_type(value)


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


_PARSERS: dict[str, Callable[[object], Any]] = {
    "PULocationID": _zone,
    "DOLocationID": _zone,
    "trip_distance": _distance,
    "pickup_datetime": new_york_time,
}
"""Field of `Ride` → the parser of its values that are not null."""
