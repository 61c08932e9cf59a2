"""The one judge of every fault: what went in, what came out, and whether the promise was kept.

The promise: every event has a prediction or a dead letter, none has both, only an event that cannot be
predicted has a dead letter, and what came out twice for an event is the same but for times.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from jobs.events.subscribers import ReceivedMessage

_OF_THE_DELIVERY = {
    "traceparent",
    "dead_letter_message_id",
    "dead_letter_publish_time",
    "dead_letter_delivery_attempt",
}
"""Attributes that tell how an event came, not what became of it."""


class Event(NamedTuple):
    """What went in."""

    ride_id: int | str
    data: bytes
    good: bool
    """Whether it can be predicted."""


class Verdict(NamedTuple):
    """What is wrong, by event; nothing, if the promise was kept."""

    predicted: int
    dead_letters: int
    duplicates: int
    lost: list[str]
    both: list[str]
    """With a prediction and a dead letter."""
    wrong: list[str]
    """Good events with a dead letter, bad ones with a prediction."""
    unequal: list[str]
    """Whose duplicates differ."""
    foreign: list[str]
    """What came out and had never gone in."""

    @property
    def kept(self) -> bool:
        return not (self.lost or self.both or self.wrong or self.unequal or self.foreign)


def judge(
    events: Iterable[Event], predictions: Sequence[ReceivedMessage], letters: Sequence[ReceivedMessage]
) -> Verdict:
    """Compares what went in with all that came out."""
    by_id = {str(event.ride_id): event for event in events if event.good}
    by_digest = {_digest(event.data): event for event in events}
    foreign: list[str] = []
    predicted: dict[str, list[ReceivedMessage]] = defaultdict(list)
    for arrival in predictions:
        key = str(msgspec.json.decode(arrival.data)["prediction"]["ride_id"])
        (predicted[key] if key in by_id else _note(foreign, arrival)).append(arrival)
    dead: dict[str, list[ReceivedMessage]] = defaultdict(list)
    for arrival in letters:
        digest = arrival.attributes.get("dead_letter_full_sha256") or _digest(arrival.data)
        event = by_digest.get(digest)
        (dead[_name(event)] if event else _note(foreign, arrival)).append(arrival)
    names = {_name(event): event for event in by_digest.values()}
    return Verdict(
        predicted=len(predicted),
        dead_letters=len(dead),
        duplicates=sum(len(some) - 1 for some in [*predicted.values(), *dead.values()]),
        lost=[name for name in names if name not in predicted and name not in dead],
        both=[name for name in predicted if name in dead],
        wrong=[name for name in dead if names[name].good],
        unequal=[name for name, some in [*predicted.items(), *dead.items()] if not _equal(some)],
        foreign=foreign,
    )


def _name(event: Event) -> str:
    """A good event is known by its ride, a bad one by its content."""
    return str(event.ride_id) if event.good else _digest(event.data)


def _note(foreign: list[str], arrival: ReceivedMessage) -> list[ReceivedMessage]:
    foreign.append(f"{dict(arrival.attributes)} {arrival.data[:80]!r}")
    return []


def _equal(some: Sequence[ReceivedMessage]) -> bool:
    """Whether what came out under one identity is the same: an event's prediction by one model version."""
    versions = defaultdict(set)
    for each in some:
        kept = tuple(sorted((n, v) for n, v in each.attributes.items() if n not in _OF_THE_DELIVERY))
        version = each.attributes.get("event_id") or each.attributes.get("dead_letter_model_version", "")
        versions[version].add((each.data, kept))
    return all(len(contents) == 1 for contents in versions.values())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
