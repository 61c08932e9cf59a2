"""All errors raised on purpose, and what each one means for the sender of a ride.

    RidecastError
    ├── InvalidRide          can never be predicted: 422, or a dead letter
    │   ├── UnreadableBody   cannot be parsed: 400, or a dead letter
    │   ├── TooLarge         exceeds the size limit: 413, or a dead letter
    │   └── ImplausiblePrediction  the model's result is out of range: 422, or a dead letter
    ├── IncompleteBody       the body did not arrive (request_body.py): 408, nothing is published
    ├── Unauthenticated      not the push subscription's service account: 401, the body is not read
    └── Unavailable          a temporary failure on our side: 503, Pub/Sub redelivers the event
        ├── Overloaded       too many concurrent requests
        ├── ModelUnavailable no model can answer at the moment
        │   ├── ModelNotFound      the release or one of its files does not exist
        │   ├── ModelNotAllowed    this function may not read the release, or not from there
        │   ├── ModelUnreachable   the store or registry of models does not answer
        │   ├── ModelDamaged       a file is not readable, or not the one that was released
        │   └── NoModel            none has been loaded yet, for one of these reasons
        ├── KeysUnavailable  Google's public keys cannot be fetched (authentication.py)
        ├── PublishFailed    the topic did not confirm the message
        │   └── MessageRejected  the topic will never accept the message
        └── SettingsError    the configuration is incomplete or invalid

Any other exception is a bug and is not caught, so that error reporting sees it.
"""

from dataclasses import dataclass


class RidecastError(Exception):
    """Base class of all errors raised on purpose; the text is a sentence for people."""


@dataclass(frozen=True)
class Problem:
    """One problem with a request."""

    pointer: str
    """JSON pointer into the body as a URI fragment, `#/ride/trip_distance` (RFC 6901 §6)."""
    detail: str
    """What is wrong and what is expected instead; continues a sentence that begins with the pointer."""


class InvalidRide(RidecastError):
    """The input can never be predicted, no matter how often it is sent."""

    reason = "invalid_ride"
    status = 422

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{p.pointer}: {p.detail}" for p in problems))
        self.problems = problems


class UnreadableBody(InvalidRide):
    """The body is not in any of the supported formats."""

    reason = "unreadable_body"
    status = 400

    def __init__(self, detail: str, pointer: str = "#") -> None:
        super().__init__(Problem(pointer, detail))


class TooLarge(InvalidRide):
    """The input is larger than the limit."""

    reason = "too_large"
    status = 413

    def __init__(self, max_bytes: int) -> None:
        super().__init__(Problem("#", f"must have at most {max_bytes} bytes"))


class ImplausiblePrediction(InvalidRide):
    """The model's result for this ride is out of range, and would be again with the same version."""

    reason = "implausible_prediction"


class Unauthenticated(RidecastError):
    """The sender is not authorized to deliver events; the text is a reason code for the log, never sent."""


class Unavailable(RidecastError):
    """The ride is valid, but cannot be handled at the moment: the same request may succeed later."""

    @property
    def public(self) -> str:
        """What any client may read; the text itself may name buckets, topics and servers."""
        return "temporarily unavailable; try again soon"


class Overloaded(Unavailable):
    """The process already handles as much as it can."""


class ModelUnavailable(Unavailable):
    """No model is loaded, or the loaded model failed."""

    cause = "the model is not one that this function can serve"
    """Why, in words that any client may read."""


class ModelNotFound(ModelUnavailable):
    """The release, or one of its files, does not exist."""

    cause = "the release, or one of its files, does not exist"


class ModelNotAllowed(ModelUnavailable):
    """The function has no permission to read the release, or its location is not allowed."""

    cause = "the function is not allowed to read the release"


class ModelUnreachable(ModelUnavailable):
    """The store or registry of models does not answer."""

    cause = "the store or registry of models does not answer"


class ModelDamaged(ModelUnavailable):
    """A file of the release cannot be parsed, or is not the one that was released."""

    cause = "a file of the release is damaged, or not the one that was released"


class NoModel(ModelUnavailable):
    """No model has been loaded yet."""

    def __init__(self, failure: Exception) -> None:
        """`failure` is what the last attempt to load one raised."""
        super().__init__(str(failure))
        self.cause = failure.cause if isinstance(failure, ModelUnavailable) else "loading it failed"

    @property
    def public(self) -> str:
        return f"no model is in service: {self.cause}; the log says more"


class PublishFailed(Unavailable):
    """The topic did not confirm a message in time."""


class MessageRejected(PublishFailed):
    """The topic will never accept the content of a publish call."""


class SettingsError(Unavailable):
    """Settings are missing or invalid; the text lists all of them."""

    @property
    def public(self) -> str:
        return str(self)
