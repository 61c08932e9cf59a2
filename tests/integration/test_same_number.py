"""The same ride gets the same number, bit by bit, through every interface.

1,000 real rides go through the functions themselves; 10,000 generated ones, in every spelling and with every
fault of TLC's data, through the decoders of all interfaces.
"""

import base64
import csv
import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.codecs import decode_request
from functions.errors import InvalidRide
from functions.event_handler import decode_event
from functions.features import FeatureTable, ride_columns
from functions.model import Model, load_model
from functions.push_envelope import IncomingMessage
from functions.resolver import resolve
from functions.rides import NEW_YORK, RIDE_FIELDS, Ride, parse_ride_event
from jobs.events.replay import sample_rides
from jobs.scoring.trip_source import TripSource
from jobs.trips.records import open_trips, to_ride_columns
from jobs.trips.synthetic import write_month
from tests.conftest import find_real_months
from tests.serving import call

RIDES = 1000


@pytest.fixture(scope="module")
def rides(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Real rides if available, else synthetic ones; every third without its pick-up time."""
    real = find_real_months()
    if "2021-02" in real:
        month = real["2021-02"]
    else:
        month = tmp_path_factory.mktemp("trips") / "month.parquet"
        write_month(date(2021, 2, 1), month, 6000)
    rides = [recorded.ride for recorded in sample_rides([str(month)], RIDES)]
    for ride in rides[::3]:
        del ride["pickup_datetime"]
    assert len(rides) == RIDES
    return rides


@pytest.fixture(scope="module")
def expected(rides: list[dict[str, Any]], onnx_folder: Path) -> list[float]:
    """The model's predictions for all rides as one table."""
    table = pd.DataFrame(rides, columns=list(RIDE_FIELDS))
    table["pickup_datetime"] = pd.to_datetime(table["pickup_datetime"])
    expected: list[float] = load_model(resolve(str(onnx_folder))).predict(to_ride_columns(table)).tolist()
    assert len(set(expected)) > RIDES / 10, "a model that always predicts the same proves nothing"
    return expected


def row(ride: dict[str, Any]) -> list[Any]:
    return [ride.get(name) for name in RIDE_FIELDS]


def to_csv(rides: list[dict[str, Any]]) -> bytes:
    lines = [",".join(RIDE_FIELDS)]
    lines += [",".join("" if value is None else str(value) for value in row(ride)) for ride in rides]
    return "\n".join(lines).encode()


BATCHES: dict[str, tuple[str, Callable[[list[dict[str, Any]]], Any], Callable[[Any], list[float]]]] = {
    "a plain list": ("/predict", lambda rides: rides, lambda body: [one["duration"] for one in body]),
    "events": (
        "/predict",
        lambda rides: [{"ride": ride, "ride_id": n} for n, ride in enumerate(rides)],
        lambda body: [one["prediction"]["ride_duration"] for one in body],
    ),
    "instances": (
        "/v1/models/ride-duration:predict",
        lambda rides: {"instances": rides},
        lambda body: body["predictions"],
    ),
    "dataframe_records": (
        "/invocations",
        lambda rides: {"dataframe_records": rides},
        lambda body: body["predictions"],
    ),
    "dataframe_split": (
        "/invocations",
        lambda rides: {
            "dataframe_split": {"columns": list(RIDE_FIELDS), "data": [row(ride) for ride in rides]}
        },
        lambda body: body["predictions"],
    ),
    "inputs": (
        "/invocations",
        lambda rides: {"inputs": {name: [ride.get(name) for ride in rides] for name in RIDE_FIELDS}},
        lambda body: body["predictions"],
    ),
    "text/csv": ("/invocations", to_csv, lambda body: body["predictions"]),
    "calls": ("/", lambda rides: {"calls": [row(ride) for ride in rides]}, lambda body: body["replies"]),
}


@pytest.mark.parametrize("encoding", BATCHES)
def test_a_batch_over_http(
    encoding: str, rides: list[dict[str, Any]], expected: list[float], onnx_folder: Path
) -> None:
    path, write, read = BATCHES[encoding]
    body = write(rides)
    content, kind = (body, "text/csv") if isinstance(body, bytes) else (json.dumps(body), "application/json")
    response = call(
        "predict",
        {"MODEL_URI": str(onnx_folder)},
        lambda client: client.post(path, content=content, headers={"content-type": kind}),
    )
    assert response.status_code == 200, response.text
    assert read(response.json()) == expected


def test_one_by_one_over_http(rides: list[dict[str, Any]], expected: list[float], onnx_folder: Path) -> None:
    async def requests(client: httpx.AsyncClient) -> list[float]:
        return [(await client.post("/predict", json=ride)).json()["duration"] for ride in rides]

    assert call("predict", {"MODEL_URI": str(onnx_folder)}, requests) == expected


def test_one_by_one_through_pubsub(
    rides: list[dict[str, Any]], expected: list[float], onnx_folder: Path, tmp_path: Path
) -> None:
    settings = {
        "MODEL_URI": str(onnx_folder),
        "PREDICTIONS_TOPIC": str(tmp_path / "predictions"),
        "DEAD_LETTER_TOPIC": str(tmp_path / "dead-letters"),
        "LOG_LEVEL": "WARNING",
    }

    async def requests(client: httpx.AsyncClient) -> None:
        for number, ride in enumerate(rides):
            data = base64.b64encode(json.dumps({"ride": ride, "ride_id": number}).encode()).decode()
            await client.post("/", json={"message": {"data": data}, "subscription": "s"})

    call("predict_event", settings, requests)
    lines = (tmp_path / "predictions").read_text().splitlines()
    predictions = [json.loads(line)["data"]["prediction"] for line in lines]
    assert [one["ride_duration"] for one in predictions] == expected
    assert [one["ride_id"] for one in predictions] == list(range(RIDES))


GENERATED = 10_000
NAMES = (
    RIDE_FIELDS,
    ("PULocationID", "DOLocationID", "trip_distance", "lpep_pickup_datetime"),
    ("PULOCATIONID", "DOLOCATIONID", "TRIP_DISTANCE", "TPEP_PICKUP_DATETIME"),
    ("PUlocationID", "DOlocationID", "trip_miles", "pickup_datetime"),
    ("pulocationid", "dolocationid", "Trip_Distance", "Trip_Pickup_DateTime"),
)
"""The names of a ride's fields in TLC's data, in the order of `RIDE_FIELDS`."""
NULLS = (None, "", "NaN", float("nan"))
FAULTS = (
    (0, 266, "foo", "130_205", 130.5, "JFK Airport", *NULLS),
    (-1.5, 90000.5, "244152", float("inf"), "1e400", "-inf", -0.0, "0", "n/a", "3,66", "1_30", True, *NULLS),
    ("2021-03-01", "yesterday", 1614587400, "03/01/2021 08:30:00", "2021-02-30T08:30:00", "NaT", *NULLS),
)
"""Zones, distances and times that are impossible, unknown or unreadable."""
Row = tuple[Any, ...]
"""A ride's values as somebody sends them, in the order of `RIDE_FIELDS`."""


def generate_rows(random: Random) -> list[Row]:
    """Rides in TLC's spellings and types; in one of eight a value is faulty, and in as many a distance."""

    def zone() -> Any:
        zone = random.randint(1, 265)
        return random.choice([zone, zone, float(zone), str(zone), f" {zone} ", f"{zone}.0"])

    def distance() -> Any:
        hundredths = random.randint(0, 3000)
        miles = hundredths / 100
        return random.choice([miles, miles, hundredths // 100, str(miles), f" +{miles}0", f"{hundredths}e-2"])

    def time() -> Any:
        moment = datetime(2021, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(365 * 86400))
        local = moment.astimezone(NEW_YORK)
        naive, paris = local.replace(tzinfo=None), moment.astimezone(timezone(timedelta(hours=1)))
        forms = [naive.isoformat(), str(naive), f"{naive}.000000", f"{naive:%m/%d/%Y %I:%M:%S %p}"]
        zoned = [
            f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            f"{moment:%Y-%m-%d %H:%M:%S}+00",
            f"{moment:%Y-%m-%d %H:%M:%S} UTC",
        ]
        return random.choice([*forms, *zoned, local.isoformat(), paris.isoformat()])

    rows = []
    for _ in range(GENERATED):
        row = [zone(), zone(), distance(), time()]
        if random.random() < 1 / 8:
            field = random.randrange(4)
            row[field] = random.choice(FAULTS[max(field - 1, 0)])
        if random.random() < 1 / 8:
            row[2] = random.choice(FAULTS[1])
        rows.append(tuple(row))
    return rows


def cell(value: Any) -> str:
    """A value as a table of text has it."""
    return "" if value is None else str(value)


def decode_one(content: Any, content_type: str = "application/json") -> Ride | None:
    """The ride in a body, or None if it is refused or its reply is NULL."""
    try:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        rides = decode_request(body, content_type).rides
    except InvalidRide:
        return None
    return rides[0] if rides else None


def decode_table(names: Sequence[str], row: Row) -> Ride | None:
    text = io.StringIO()
    csv.writer(text).writerows([("VendorID", *names), ("2", *map(cell, row))])
    return decode_one(text.getvalue().encode(), "text/csv")


def decode_delivery(document: Any) -> Ride | None:
    try:
        event = decode_event(IncomingMessage(data=json.dumps({"ride": document, "ride_id": 1}).encode()))
        return parse_ride_event(*event).ride
    except InvalidRide:
        return None


def decode_tensors(names: Sequence[str], row: Row) -> Ride | None:
    pairs = zip(names, row, strict=True)
    return decode_one(
        {"inputs": [{"name": n, "shape": [1, 1], "datatype": "BYTES", "data": [[v]]} for n, v in pairs]}
    )


def with_names(names: Sequence[str], row: Row) -> dict[str, Any]:
    return {"VendorID": 2, **dict(zip(names, row, strict=True))}


DECODERS: dict[str, Callable[[Sequence[str], Row], Ride | None]] = {
    "a ride": lambda names, row: decode_one(with_names(names, row)),
    "a plain ride": lambda names, row: decode_one(dict(zip(RIDE_FIELDS, row, strict=True))),
    "an event": lambda names, row: decode_delivery(with_names(names, row)),
    "instances": lambda names, row: decode_one({"instances": [with_names(names, row)]}),
    "an array": lambda names, row: decode_one({"instances": [row]}),
    "dataframe_split": lambda names, row: decode_one(
        {"dataframe_split": {"columns": ["VendorID", *names], "data": [[2, *row]]}}
    ),
    "inputs": lambda names, row: decode_one({"inputs": {n: [v] for n, v in with_names(names, row).items()}}),
    "tensors": decode_tensors,
    "CSV": decode_table,
    "a BigQuery call": lambda names, row: decode_one({"calls": [row]}),
}


def compute_numbers(model: Model, table: FeatureTable) -> list[str]:
    """The bits of each ride's prediction, and of what it is made from."""
    rows = len(table.rides.PULocationID)
    columns = [column.tolist() for column in (model.predict_table(table, rows), *table.rides)]
    return [" ".join(float(value).hex() for value in row) for row in zip(*columns, strict=True)]


def month_numbers(path: Path, model: Model) -> dict[int, str]:
    """The same of what `score` predicts for a file, by the index of each row that is not rejected."""
    numbers: dict[int, str] = {}
    with open_trips(str(path)) as file:
        source = TripSource(file, model, "green", date(2021, 1, 1))
        first = 0
        for batch in file.batches(4096):
            trips = source.validate(batch, first)
            (indices,) = np.nonzero(~np.any(list(trips.faults.values()), axis=0))
            table = trips.model_input(indices)
            assert isinstance(table, FeatureTable)
            numbers.update(zip((indices + first).tolist(), compute_numbers(model, table), strict=True))
            first += batch.num_rows
    return numbers


def write_months(rows: list[Row], folder: Path) -> list[Path]:
    """The rows as months: CSV, and Parquet with columns of text."""
    columns = list(zip(*([cell(value) for value in row] for row in rows), strict=True))
    paths = [folder / "green_tripdata_2021-01.csv", folder / "green_tripdata_2021-01.parquet"]
    with paths[0].open("w", newline="") as file:
        csv.writer(file).writerows([NAMES[1], *zip(*columns, strict=True)])
    pq.write_table(pa.table(dict(zip(NAMES[2], map(pa.array, columns), strict=True))), paths[1])
    return paths


def test_whatever_interfaces_accept_a_ride_it_gets_one_number(onnx_folder: Path, tmp_path: Path) -> None:
    random = Random(20210301)
    rows = generate_rows(random)
    model = load_model(resolve(str(onnx_folder)))
    numbers: dict[str, dict[int, str]] = {}
    for name, decode in DECODERS.items():
        decoded = {index: decode(random.choice(NAMES), row) for index, row in enumerate(rows)}
        rides = {index: ride for index, ride in decoded.items() if ride}
        table = FeatureTable(ride_columns(list(rides.values())))
        numbers[name] = dict(zip(rides, compute_numbers(model, table), strict=True))
    for path in write_months(rows, tmp_path):
        numbers[path.suffix] = month_numbers(path, model)
    for index, row in enumerate(rows):
        found = {each[index] for each in numbers.values() if index in each}
        assert len(found) <= 1, (row, {name: each.get(index) for name, each in numbers.items()})
    accepted = {name: len(each) for name, each in numbers.items()}
    assert all(GENERATED * 0.8 < count < GENERATED * 0.95 for count in accepted.values()), accepted
    assert len({number for each in numbers.values() for number in each.values()}) > GENERATED * 0.8
