"""1,000 real rides get bit-identical predictions through every interface."""

import base64
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from functions.model import load_model
from functions.resolver import resolve
from jobs.events.replay import sample_rides
from jobs.trips.records import to_ride_columns
from jobs.trips.synthetic import write_month
from tests.conftest import find_real_months
from tests.serving import call

RIDES = 1000
FIELDS = ("PULocationID", "DOLocationID", "trip_distance", "pickup_datetime")


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
    table = pd.DataFrame(rides, columns=list(FIELDS))
    table["pickup_datetime"] = pd.to_datetime(table["pickup_datetime"])
    expected: list[float] = load_model(resolve(str(onnx_folder))).predict(to_ride_columns(table)).tolist()
    assert len(set(expected)) > RIDES / 10, "a model that always predicts the same proves nothing"
    return expected


def row(ride: dict[str, Any]) -> list[Any]:
    return [ride.get(name) for name in FIELDS]


def csv(rides: list[dict[str, Any]]) -> bytes:
    lines = [",".join(FIELDS)]
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
        lambda rides: {"dataframe_split": {"columns": list(FIELDS), "data": [row(ride) for ride in rides]}},
        lambda body: body["predictions"],
    ),
    "inputs": (
        "/invocations",
        lambda rides: {"inputs": {name: [ride.get(name) for ride in rides] for name in FIELDS}},
        lambda body: body["predictions"],
    ),
    "text/csv": ("/invocations", csv, lambda body: body["predictions"]),
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
