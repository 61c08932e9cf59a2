"""Rows 14 to 24: events come often, late, out of order, broken, huge or in other forms."""

import base64
import json
import random
import re
from collections.abc import Callable
from typing import Any

import duckdb
import pytest
from google.pubsub_v1.types import PushConfig

from tests.faults.figures import DOCUMENT
from tests.faults.oracle import Event
from tests.faults.stage import Delivery, Stage, bad_event, envelope, good_events

NoWrapper = PushConfig.NoWrapper
Row = Callable[..., None]
RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
JSON = {"content-type": "application/json"}


def test_row_14_each_event_ten_times_at_once(stage: Stage, row: Row) -> None:
    stage.start()
    stage.events += good_events(50)
    tenfold = [envelope(event, number) for number, event in enumerate(stage.events) for _ in range(10)]
    random.Random(1).shuffle(tenfold)
    stage.deliver(tenfold, at_once=32)
    row(14, "each event ten times, 32 at once", stage)
    assert len(stage.predictions) == 500
    assert len(deduplicated(stage)) == 50


def deduplicated(stage: Stage) -> list[Any]:
    """The predictions by the recipe that the documentation gives."""
    (recipe,) = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    with duckdb.connect() as database:
        database.execute("CREATE TABLE predictions (publish_time TIMESTAMP, data JSON, attributes JSON)")
        rows = [
            (each.published, each.data.decode(), json.dumps(dict(each.attributes)))
            for each in stage.predictions
        ]
        database.executemany("INSERT INTO predictions VALUES (to_timestamp(?), ?, ?)", rows)
        return database.execute(recipe).fetchall()


@pytest.mark.long
def test_row_15_out_of_order_and_years_old(stage: Stage, row: Row) -> None:
    stage.start()
    stage.push()
    events = [old(event, number) for number, event in enumerate(good_events(100))]
    stage.publish(events)
    assert not stage.settle().lost
    before = {each.attributes["event_id"]: each.data for each in stage.predictions}
    stage.publish(random.Random(1).sample(events, len(events)))
    row(15, "out of order, twice, with times from 1999", stage)
    assert {each.attributes["event_id"]: each.data for each in stage.predictions} == before


def old(event: Event, number: int) -> Event:
    document = json.loads(event.data)
    document["ride"]["pickup_datetime"] = f"1999-12-31T23:{number % 60:02d}:00"
    return Event(event.ride_id, json.dumps(document).encode(), good=True)


@pytest.mark.long
def test_row_16_malformed_base64(stage: Stage, row: Row) -> None:
    stage.start()
    texts = ["!", "a", "aGk=aGk=", "aG=k", "ü", 5, [], {}, True]
    bodies = [json.dumps({"message": {"data": text}}).encode() for text in texts]
    stage.events += [bad_event(body) for body in bodies]
    for number, event in enumerate(good_events(30)):
        data = (base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes)[number % 3](event.data)
        text = data.decode() if number % 2 else data.decode().rstrip("=\n")
        bodies.append(json.dumps({"message": {"data": text}}).encode())
        stage.events.append(event)
    stage.deliver([(JSON, body) for body in bodies])
    row(16, "malformed base64, and every form of it", stage)


def of(ride_id: Any = 1, **changes: Any) -> dict[str, Any]:
    """An event's document, with some fields of its ride changed."""
    return {"ride": RIDE | changes, "ride_id": ride_id}


def text(distance: bytes = b"3.66", ride_id: bytes = b"1") -> bytes:
    """An event as text, for what Python's json does not write."""
    ride = b'{"PULocationID": 130, "DOLocationID": 205, "trip_distance": %s}' % distance
    return b'{"ride": %s, "ride_id": %s}' % (ride, ride_id)


BROKEN = [b"{", b"nothing", b"[]", b"[1]", b"5", b'"ride"', b"null", b"true", b'{"ride": {}} {}']
TYPES = [
    *({}, {"ride": RIDE}, {"ride_id": 1}, {"ride": None, "ride_id": 1}, {"ride": [RIDE], "ride_id": 1}),
    *(of(ride_id) for ride_id in (None, [1], {}, True, 1.5)),
    *(of(**{name: value}) for name in RIDE for value in (None, "x", [], {}, True)),
]
IMPOSSIBLE = (b"Infinity", b"-Infinity", b"1e400", b"-1", b"1e308", b"9" * 400, b'"1e400"')
NUMBERS = [
    *(text(number) for number in (b"NaN", b'"NaN"', b'"n/a"', b'"1_30"', b'"0x1"')),
    *(of(PULocationID=zone) for zone in (0, -1, 266, 2**63, 10**400, 1.5)),
]
TEXTS = [
    *(text(ride_id=b'"\\ud800"'), text(ride_id=b'"\xff"'), b"\xff\xfe{\x00}\x00", of("x" * 1025)),
    *(b"[" * 100_000, b'{"ride":' * 100_000, b'{"ride": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
]
CONTENTS = {
    17: ("no JSON, an array, a scalar, a key twice", BROKEN, [text(ride_id=b'"x", "ride_id": 1')]),
    18: (
        "a field missing, too many, of another type",
        TYPES,
        [of(2, tip=1, more={"and": ["more"]}) | {"extra": None}],
    ),
    19: (
        "NaN, infinities, 1e400, negative, zero, huge",
        NUMBERS,
        [
            *(of(1, trip_distance=0), of(2, trip_distance=-0.0), of(3, trip_distance=" 3.66 ")),
            *(text(number, b"%d" % ride_id) for ride_id, number in enumerate(IMPOSSIBLE, start=10)),
        ],
    ),
    20: (
        "Unicode, NUL, lone surrogates, invalid UTF-8, 100,000 levels",
        TEXTS,
        [of(name) for name in ("Zoë 🚕", "\0", "", " ", "٣", "a\nb", "x" * 1024)],
    ),
}


@pytest.mark.parametrize(
    "number", [17, *(pytest.param(number, marks=pytest.mark.long) for number in (18, 19, 20))]
)
def test_rows_17_to_20_bad_content(stage: Stage, row: Row, number: int) -> None:
    fault, bad, good = CONTENTS[number]
    stage.start()
    stage.push()
    stage.publish([content(each) for each in bad] + [content(each, good=True) for each in good])
    row(number, fault, stage)
    assert stage.verdict().predicted == len(good)


def content(document: Any, *, good: bool = False) -> Event:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Event(json.loads(data)["ride_id"], data, good=True) if good else bad_event(data)


@pytest.mark.long
def test_row_21_no_data(stage: Stage, row: Row) -> None:
    stage.start()
    stage.events += [bad_event(b"")]
    for message in ({"messageId": "1"}, {"data": None, "messageId": "1"}, {"data": "", "messageId": "1"}):
        stage.deliver([(JSON, json.dumps({"message": message}).encode())])
    for body in (b"{}", b"[]", b'{"message": null}', b'{"message": []}', b'{"message": "ride"}', b" "):
        stage.events += [bad_event(body)]
        stage.deliver([(JSON, body)])
    row(21, "no data, no message, nothing", stage)


@pytest.mark.long
def test_row_22_events_as_large_as_pubsub_takes(stage: Stage, row: Row) -> None:
    stage.start()
    stage.push()
    size = 9_900_000
    large_ride = json.dumps({"ride": RIDE, "ride_id": 1}).encode().ljust(size)
    stage.publish([bad_event(b"x" * size), Event(1, large_ride, good=True)])
    row(22, "events of 9.9 MB, a good one and a bad one", stage)
    (letter,) = {each.data: each.attributes for each in stage.letters}.items()
    assert letter[0] == b"x" * 9_000_000
    assert letter[1]["dead_letter_full_size"] == str(size)


@pytest.mark.long
def test_row_23_cloud_events(stage: Stage, row: Row) -> None:
    stage.start()
    stage.events += good_events(30)
    forms = (binary, structured, structured_base64, binary_own, structured_own, structured_own_base64)
    stage.deliver([forms[number % 6](event) for number, event in enumerate(stage.events)])
    for headers, body in (
        ({"content-type": "application/cloudevents+json"}, b"{}"),
        ({"content-type": "application/cloudevents+json; charset=UTF-8"}, b'{"data_base64": "e30="}'),
        ({"content-type": "application/cloudevents-batch+json"}, b"[{}]"),
        ({"content-type": "application/cloudevents+json"}, b'{"specversion": "1.0", "data_base64": "%"}'),
        ({"ce-specversion": "1.0", "ce-id": "1", "ce-type": "t", "ce-source": "s"}, b'{"PULocationID": 1}'),
    ):
        stage.events += [bad_event(body)]
        stage.deliver([(headers, body)])
    row(23, "CloudEvents: binary, structured, base64, broken", stage)


def binary(event: Event) -> Delivery:
    headers, body = envelope(event)
    return {
        **headers,
        "ce-id": "1",
        "ce-specversion": "1.0",
        "ce-source": "//pubsub.googleapis.com/projects/p/topics/t",
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
    }, body


def structured(event: Event) -> Delivery:
    return {"content-type": "application/cloudevents+json"}, json.dumps(
        {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": json.loads(envelope(event)[1])}
    ).encode()


def structured_base64(event: Event) -> Delivery:
    data = base64.b64encode(envelope(event)[1]).decode()
    return {"content-type": "application/cloudevents+json"}, json.dumps(
        {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data_base64": data}
    ).encode()


def binary_own(event: Event) -> Delivery:
    """The ride event itself, from another sender than Pub/Sub."""
    return {"ce-id": "1", "ce-specversion": "1.0", "ce-source": "s", "ce-type": "t", **JSON}, event.data


def structured_own(event: Event) -> Delivery:
    context = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    body = json.dumps({**context, "data": json.loads(event.data)}).encode()
    return {"content-type": "application/cloudevents+json"}, body


def structured_own_base64(event: Event) -> Delivery:
    context = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    body = json.dumps({**context, "data_base64": base64.b64encode(event.data).decode()}).encode()
    return {"content-type": "application/cloudevents+json"}, body


@pytest.mark.parametrize("metadata", [True, False])
def test_row_23_without_a_wrapper(stage: Stage, row: Row, metadata: bool) -> None:
    """Payload unwrapping; the events have fields like those of other forms."""
    stage.start()
    stage.push(NoWrapper(write_metadata=metadata))
    more: list[dict[str, Any]] = [
        {"message": {"data": "e30="}, "subscription": "s"},
        {"specversion": "1.0", "data": {}},
        {"message": "hello", "data_base64": "%"},
    ]
    good = [
        Event(event.ride_id, json.dumps(more[number % 3] | json.loads(event.data)).encode(), good=True)
        for number, event in enumerate(good_events(30))
    ]
    broken = [{"message": "hello"}, RIDE, [of(1)], {"message": {"data": 5}}, {"specversion": "1.0"}]
    stage.publish([*good, *(bad_event(json.dumps(each).encode()) for each in broken)])
    row(23, f"no wrapper, {'with' if metadata else 'without'} metadata", stage)


@pytest.mark.long
def test_row_24_one_poisoned_event_among_ninety_nine(stage: Stage, row: Row) -> None:
    stage.start()
    stage.push()
    events = good_events(99)
    stage.publish([*events[:50], bad_event(b'{"ride": "none"}'), *events[50:]])
    row(24, "one poisoned event among 99 good ones", stage)
    assert {each.data for each in stage.letters} == {b'{"ride": "none"}'}
