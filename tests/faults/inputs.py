"""What is sent: every dialect as it should be, and thousands of ways to spoil it.

Hypothesis draws rides, any JSON, any bytes and a seed; the spoiling itself is done by `random.Random(seed)`,
which is a hundred times as fast as drawing each step.
"""

import base64
import copy
import csv
import gzip
import io
import json
import re
from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as some

Document = Any
JSON = "application/json"
JSON_LINES = "application/x-ndjson"
CLOUD_EVENT = "application/cloudevents+json"
TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"
FIELDS = ("PULocationID", "DOLocationID", "trip_distance", "pickup_datetime")


class Sent(NamedTuple):
    """A POST."""

    body: bytes
    headers: dict[str, str]
    path: str = "/predict"

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")


class Dialect(NamedTuple):
    """A way to ask for rides."""

    write: Callable[[list[Document], Random], Document]
    content_type: str = JSON


def _write_csv(rides: list[Document], random: Random) -> bytes:
    del random
    text = io.StringIO()
    table = csv.writer(text)
    table.writerows([FIELDS, *([ride.get(name) for name in FIELDS] for ride in rides)])
    return text.getvalue().encode()


def _row(ride: Document) -> list[Document]:
    return [ride.get(name) for name in FIELDS]


def _write_lines(rides: list[Document], random: Random) -> bytes:
    lines = [random.choice([ride, event(ride, random), _row(ride)]) for ride in rides]
    return "\n".join(map(json.dumps, lines)).encode()


def _write_tensors(rides: list[Document], random: Random) -> Document:
    """The request of the Open Inference Protocol."""
    tensors = []
    for name in FIELDS:
        values = [ride.get(name) for ride in rides]
        shape, data = random.choice([([len(rides)], values), ([len(rides), 1], [[each] for each in values])])
        tensors.append({"name": name, "shape": shape, "datatype": "FP64", "data": data})
    return random.choice([{}, {"id": "a"}]) | {"inputs": tensors}


def event(ride: Document, random: Random) -> Document:
    """The course's event."""
    return {"ride": ride, "ride_id": random.choice(RIDE_IDS)}


DIALECTS = {
    "ride": Dialect(lambda rides, random: rides[0]),
    "ride event": Dialect(lambda rides, random: event(rides[0], random)),
    "list": Dialect(lambda rides, random: [random.choice([ride, event(ride, random)]) for ride in rides]),
    "instances": Dialect(lambda rides, random: {"instances": rides}),
    "instances as arrays": Dialect(lambda rides, random: {"instances": [_row(ride) for ride in rides]}),
    "tensors": Dialect(_write_tensors),
    "JSON Lines": Dialect(_write_lines, JSON_LINES),
    "dataframe_records": Dialect(lambda rides, random: {"dataframe_records": rides}),
    "dataframe_split": Dialect(
        lambda rides, random: {
            "dataframe_split": {"columns": list(FIELDS), "data": [_row(ride) for ride in rides]}
        }
    ),
    "inputs": Dialect(
        lambda rides, random: {
            "inputs": random.choice(
                [rides, rides[0], {name: [ride.get(name) for ride in rides] for name in FIELDS}]
            )
        }
    ),
    "CSV": Dialect(_write_csv, "text/csv"),
    "BigQuery calls": Dialect(lambda rides, random: {"requestId": "1", "calls": [_row(r) for r in rides]}),
}

RIDE_IDS = [256, 0, -5, 2**63 - 1, "256", "", "Żółć 🚕", "x" * 1024]

MILES = some.floats(allow_nan=False)
DISTANCES = MILES.filter(lambda miles: abs(miles) < float("inf")) | some.floats(0, 100) | MILES.map(str)
"""Possible and impossible ones, as numbers and as text."""
TIMES = some.datetimes(datetime(1900, 1, 1)).flatmap(
    lambda moment: some.sampled_from(
        [moment.isoformat(), f"{moment:%m/%d/%Y %I:%M:%S %p}", f"{moment} UTC", "", "NaT", None]
    )
)
ZONES = some.integers(1, 265).flatmap(lambda zone: some.sampled_from([zone, float(zone), str(zone)]))
RIDES = some.fixed_dictionaries(
    {"PULocationID": ZONES, "DOLocationID": ZONES, "trip_distance": DISTANCES},
    optional={"pickup_datetime": TIMES},
)
SOME_RIDES = some.lists(RIDES, min_size=1, max_size=3)
SEEDS = some.integers(0, 2**32 - 1)

FORMS = ["instances", "dataframe_split", "dataframe_records", "inputs", "calls"]
NAMES = [*FIELDS, *FORMS, "ride", "ride_id", "columns", "data", "message", "data_base64", "", "~/", "%"]
LEAVES = (
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats()
    | some.text(max_size=20)
    | some.sampled_from([130, "130", 130.0, 3.66, "2021-03-01T08:30:00Z", 265, 266, -1, "\ud800"])
)
ANY_JSON = some.recursive(
    LEAVES,
    lambda inner: (
        some.lists(inner, max_size=4) | some.dictionaries(some.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=15,
)
ANY_BYTES = some.binary(max_size=200)

_RAW = "raw:"
"""Begins a string that stands for a token which no Python value becomes."""
_TOKENS = ["1e400", "-1e999", "1E+2", "01", "+1", ".5", "0x1", "9" * 5000, "tru", "'a'"]
_TIMES = [
    *("2021-03-01", "2021-03-01T08:30:00Z", "2021-02-30T08:30", "2021-03-14T02:30", "20210301T0830"),
    *("0001-01-01T00:00+23:59", "9999-12-31T23:59:59-23:59", "2021-03-01T24:00:00", "2021-W09-1T08"),
]
_NUMBERS = [0, -0.0, -1, 0.5, 1e308, 5e-324, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**400]
_TEXTS = [
    "",
    "130",
    "130.0",
    "1e2",
    "1_30",
    "\uff11\uff13\uff10",
    "NaN",
    " 130\n",
    "\x00",
    "x" * 1025,
    "🚕" * 300,
]
_ODD: list[Document] = [
    *(None, True, False, float("nan"), float("inf"), float("-inf"), "\ud800", "\udc00\ud800"),
    *([], {}, [[]], [1, 2, 3], {"": {}}, {"PULocationID": 1}, {"ride": {}}, [None], [{}]),
    *(*_NUMBERS, *_TEXTS, *_TIMES, *(_RAW + token for token in _TOKENS)),
]
_CONTENT_TYPES = [
    *("", ";", JSON, "application/json; charset=utf-16", "text/plain", "multipart/form-data", "\xff/\xff"),
    *(
        "text/csv;",
        "TEXT/CSV; header=present",
        JSON_LINES,
        CLOUD_EVENT,
        "Application/CloudEvents+JSON; charset=utf-8",
    ),
]
_PATHS = ["/", "/predict/", "/invocations", "/v1/models/any:predict", "/v1/models/%00/../:predict"]


def to_bytes(document: Document) -> bytes:
    """A document as JSON, with the tokens that are none; CSV is bytes already."""
    if isinstance(document, bytes):
        return document
    return re.sub(f'"{_RAW}([^"]*)"', r"\1", json.dumps(document)).encode()


def spoil(document: Document, random: Random) -> Document:
    """The document with one to three of its places changed."""
    if isinstance(document, bytes):
        return _spoil_table(document, random)
    root = [copy.deepcopy(document)]
    for _ in range(random.randint(1, 3)):
        holder, key = random.choice(list(_places(root)))
        odd = copy.deepcopy(random.choice(_ODD))
        match random.randrange(8):
            case 0 if holder is not root:
                del holder[key]
            case 1:
                holder[key] = [holder[key]]
            case 2:
                holder[key] = {random.choice(NAMES): holder[key]}
            case 3 if isinstance(holder, dict):
                holder[random.choice(NAMES)] = holder.pop(key)
            case 4 if isinstance(holder, dict):
                holder[random.choice(NAMES)] = odd
            case 5 if holder is not root and isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case _:
                holder[key] = odd
    return root[0]


def _places(holder: Document) -> Any:
    """Each place of a document as what holds it and the key or index in it."""
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    for key in keys:
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])


def _spoil_table(table: bytes, random: Random) -> bytes:
    """CSV with one to three of its cells changed."""
    rows = [line.split(",") for line in table.decode().split("\r\n")]
    for _ in range(random.randint(1, 3)):
        row = random.choice(rows)
        odd = random.choice([*map(str, _ODD), '"', '"a\nb"', *FIELDS])
        match random.randrange(3):
            case 0:
                row.pop(random.randrange(len(row))) if row else row.append(odd)
            case 1:
                row.insert(random.randint(0, len(row)), odd)
            case _ if row:
                row[random.randrange(len(row))] = odd
    return "\r\n".join(",".join(row) for row in rows).encode(errors="replace")


def spoil_bytes(body: bytes, random: Random) -> bytes:
    """The bytes with one thing done to them that no JSON library does."""
    at = random.randint(0, len(body))
    return random.choice(_SPOILERS)(body[:at], body[at:], random)


def _flip(before: bytes, after: bytes, random: Random) -> bytes:
    return before + bytes([after[0] ^ (1 << random.randrange(8))]) + after[1:] if after else before


def _nest(before: bytes, after: bytes, random: Random) -> bytes:
    """So deep that a reader gives up, or far deeper, though seldom; the edge itself has a test of its own."""
    depth = 100_000 if random.random() < 0.02 else random.choice([100, 2000])
    begin, end = random.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'{"ride":[', b"]}")])
    return begin * depth + before + after + end * (depth * random.randint(0, 1))


def _say_twice(before: bytes, after: bytes, random: Random) -> bytes:
    field = f'{{"{random.choice(FIELDS)}": {random.choice(["1", "-1", "null"])},'
    return (before + after).replace(b"{", field.encode())


_BEGINNINGS = [b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b" \n\t", b"\x1e"]
_ENDS = [b"{}", b"\n1", b",", b"]", b"}", b"\x00", b"nul"]
_IN_TEXT = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\\ud800", b"\n", b"\\"]
_LONG = [b"a", b"0", b"9", b"{}", b" ", b"\\", "🚕".encode()]
_CODECS = ["utf-16", "utf-16-le", "utf-32", "cp037"]
_SPOILERS: list[Callable[[bytes, bytes, Random], bytes]] = [
    _flip,
    _flip,
    _nest,
    _say_twice,
    lambda before, after, random: before,
    lambda before, after, random: before + after[random.randint(1, 12) :],
    lambda before, after, random: before + random.randbytes(random.randint(1, 12)) + after,
    lambda before, after, random: before + before[-random.randint(1, 12) :] + after,
    lambda before, after, random: before + random.choice(_LONG) * 20_000 + after,
    lambda before, after, random: before + after.replace(b'"', b'"' + random.choice(_IN_TEXT), 2),
    lambda before, after, random: random.choice(_BEGINNINGS) + before + after,
    lambda before, after, random: before + after + random.choice(_ENDS),
    lambda before, after, random: before + after + before + after,
    lambda before, after, random: (
        (before + after).decode(errors="replace").encode(random.choice(_CODECS), "replace")
    ),
    lambda before, after, random: gzip.compress(before + after, 1),
]


def spoil_headers(sent: Sent, random: Random) -> Sent:
    """The request with other headers, to another path."""
    headers = sent.headers | {"content-type": random.choice(_CONTENT_TYPES)}
    if sent.body[:2] == b"\x1f\x8b" or random.random() < 0.2:
        headers["content-encoding"] = random.choice(["gzip", "br", "identity", "x"])
    if random.random() < 0.2:
        headers["traceparent"] = random.choice([TRACEPARENT, "\xff", "0" * 55])
    return Sent(sent.body, headers, random.choice(_PATHS))


def questions(dialect: Dialect, rides: list[Document], seed: int) -> list[Sent]:
    """The rides in a dialect as they should be; after them, spoilt."""
    random = Random(seed)
    headers = {"content-type": dialect.content_type}
    right = dialect.write(rides, random)
    body = to_bytes(right)
    made = [Sent(body, headers)]
    made += [Sent(to_bytes(spoil(right, random)), headers) for _ in range(5)]
    made += [Sent(spoil_bytes(body, random), headers) for _ in range(4)]
    made += [spoil_headers(each, random) for each in random.choices(made, k=2)]
    return made


Envelope = Callable[[bytes, Random], tuple[Document, dict[str, str]]]
"""An event's bytes → the body that delivers them, and its headers."""


def _push(data: bytes, random: Random) -> tuple[Document, dict[str, str]]:
    message = {
        "data": base64.b64encode(data).decode(),
        "attributes": random.choice([{}, {"source": "till"}, {"traceparent": TRACEPARENT}]),
        "messageId": str(random.randrange(100)),
        "publishTime": "2026-11-22T12:42:53.093Z",
    }
    return {"message": message, "subscription": "projects/p/subscriptions/s"}, {"content-type": JSON}


_CONTEXT = {
    "specversion": "1.0",
    "id": "7",
    "source": "//pubsub.googleapis.com/projects/p/topics/t",
    "type": "google.cloud.pubsub.topic.v1.messagePublished",
}


def _binary(data: bytes, random: Random) -> tuple[Document, dict[str, str]]:
    body, headers = _push(data, random)
    return body, headers | {f"ce-{name}": text for name, text in _CONTEXT.items()}


def _structured(data: bytes, random: Random) -> tuple[Document, dict[str, str]]:
    body, _ = _push(data, random)
    content = random.choice([{"data": body}, {"data_base64": base64.b64encode(to_bytes(body)).decode()}])
    return _CONTEXT | content, {"content-type": f"{CLOUD_EVENT}; charset=utf-8"}


def _unwrapped(data: bytes, random: Random) -> tuple[Document, dict[str, str]]:
    metadata = {
        "x-goog-pubsub-message-id": "7",
        "x-goog-pubsub-subscription-name": "projects/p/subscriptions/s",
    }
    return data, random.choice([{}, {"content-type": JSON}, metadata, metadata | {"source": "till"}])


ENVELOPES: dict[str, Envelope] = {
    "Pub/Sub push": _push,
    "Pub/Sub push, unwrapped": _unwrapped,
    "CloudEvent, binary": _binary,
    "CloudEvent, structured": _structured,
}


class Delivery(NamedTuple):
    """A POST to the Pub/Sub function."""

    sent: Sent
    data: bytes | None
    """The event in it; None where the envelope was spoilt, too, or there is none."""


def deliveries(wrap: Envelope, rides: list[Document], seed: int) -> list[Delivery]:
    """An event in its envelope as it should be; after it, spoilt inside and outside."""
    random = Random(seed)
    right = event(rides[0], random)
    data = to_bytes(right)
    inside = [data]
    inside += [to_bytes(spoil(right, random)) for _ in range(4)]
    inside += [spoil_bytes(data, random) for _ in range(3)]
    made = [delivery(wrap, each, random) for each in inside]
    envelope, headers = wrap(data, random)
    outside = [to_bytes(spoil(envelope, random)) for _ in range(2)]
    outside += [spoil_bytes(to_bytes(envelope), random) for _ in range(2)]
    made += [Delivery(Sent(body, headers, "/"), None) for body in outside]
    made.append(Delivery(spoil_headers(random.choice(made).sent, random), None))
    return made


def delivery(wrap: Envelope, data: bytes, random: Random) -> Delivery:
    """An event's bytes in an envelope that is right."""
    body, headers = wrap(data, random)
    return Delivery(Sent(to_bytes(body), headers, "/"), None if wrap is _unwrapped else data)


def examples(full: bool, short: int, long: int) -> settings:
    """As many examples as the run has time for: always the same in the short one, new ones in the full."""
    return settings(
        max_examples=long if full else short,
        derandomize=not full,
        print_blob=True,
        database=None,
        deadline=None,
    )
