"""The errors, and what each one means for the one who sent the ride.

    RidecastError
    ├── InvalidRide          never to be predicted: 422, or a dead letter and done
    │   ├── UnreadableBody   not even a ride could be read: 400, or a dead letter and done
    │   ├── TooLarge         more bytes than are read: 413, or a dead letter and done
    │   └── ImplausiblePrediction  the model's number cannot be: 422, or a dead letter and done
    ├── NotWhole             the body did not come (bodies.py): 408, and nothing is done
    ├── Unauthenticated      not the subscription's own service account: 401, and nothing is read
    └── Unavailable          our trouble, which passes: 503, the event is delivered again
        ├── Overloaded       more requests than are worked on at once
        ├── ModelUnavailable no model can answer now
        ├── KeysUnavailable  nobody can be told from anybody now (identity.py)
        ├── PublishFailed    no confirmation from the topic
        │   └── Refused      the topic does not take it, ever
        └── SettingsError    the deployment is incomplete

Anything else is a bug and crashes, so that error reporting sees it.
"""

from dataclasses import dataclass


class RidecastError(Exception):
    """Base of all errors raised on purpose; its text is a sentence for a person."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with what was sent."""

    pointer: str
    """JSON pointer into the body as a URI fragment, `#/ride/trip_distance` (RFC 6901 §6)."""
    detail: str
    """A sentence that says what would be right."""


class InvalidRide(RidecastError):
    """What was sent can never be predicted, however often it is sent."""

    reason = "invalid_ride"
    status = 422

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{p.pointer}: {p.detail}" for p in problems))
        self.problems = problems


class UnreadableBody(InvalidRide):
    """The bytes are not a document that a ride could stand in."""

    reason = "unreadable_body"
    status = 400

    def __init__(self, detail: str, pointer: str = "#") -> None:
        super().__init__(Problem(pointer, detail))


class TooLarge(InvalidRide):
    """What was sent has more bytes than are read."""

    reason = "too_large"
    status = 413

    def __init__(self, largest: int) -> None:
        super().__init__(Problem("#", f"must have at most {largest} bytes"))


class ImplausiblePrediction(InvalidRide):
    """The model's number for this ride cannot be, and the same version will not find a better one."""

    reason = "implausible_prediction"


class Unauthenticated(RidecastError):
    """The sender is not shown to be the one who may deliver; the text is a word for the log, not for them."""


class Unavailable(RidecastError):
    """Nothing is wrong with the ride: the same request may succeed a little later."""


class Overloaded(Unavailable):
    """As many requests are worked on as one process should take on."""


class ModelUnavailable(Unavailable):
    """No model is loaded, or the one that is failed."""


class PublishFailed(Unavailable):
    """A message was not confirmed by its topic in time."""


class Refused(PublishFailed):
    """The topic does not take the call's content, however often it is sent."""


class SettingsError(Unavailable):
    """The environment lacks settings or holds unusable ones; all are named at once."""
