"""The same ride gets the same number, to the last bit, through every door: 1,000 real rides."""

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
from jobs.trips.records import columns_of
from jobs.trips.synthetic import write_month
from tests.conftest import find_real_months
from tests.serving import call

RIDES = 1000
FIELDS = ("PULocationID", "DOLocationID", "trip_distance", "pickup_datetime")


@pytest.fixture(scope="module")
def rides(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Real ones where there are any, else generated; every third without its pick-up time."""
    real = find_real_months()
    if "2021-02" in real:
        place = real["2021-02"]
    else:
        place = tmp_path_factory.mktemp("city") / "month.parquet"
        write_month(date(2021, 2, 1), place, 6000)
    rides = [recorded.ride for recorded in sample_rides([str(place)], RIDES)]
    for ride in rides[::3]:
        del ride["pickup_datetime"]
    assert len(rides) == RIDES
    return rides


@pytest.fixture(scope="module")
def numbers(rides: list[dict[str, Any]], onnx_folder: Path) -> list[float]:
    """What the model's batch call gives for them as one table."""
    table = pd.DataFrame(rides, columns=list(FIELDS))
    table["pickup_datetime"] = pd.to_datetime(table["pickup_datetime"])
    numbers: list[float] = load_model(resolve(str(onnx_folder))).predict(columns_of(table)).tolist()
    assert len(set(numbers)) > RIDES / 10, "a model that gives everybody the same number proves nothing"
    return numbers


def row(ride: dict[str, Any]) -> list[Any]:
    return [ride.get(name) for name in FIELDS]


def csv(rides: list[dict[str, Any]]) -> bytes:
    lines = [",".join(FIELDS)]
    lines += [",".join("" if value is None else str(value) for value in row(ride)) for ride in rides]
    return "\n".join(lines).encode()


BATCHES: dict[str, tuple[str, Callable[[list[dict[str, Any]]], Any], Callable[[Any], list[float]]]] = {
    "a plain list": ("/predict", lambda rides: rides, lambda answer: [one["duration"] for one in answer]),
    "events": (
        "/predict",
        lambda rides: [{"ride": ride, "ride_id": n} for n, ride in enumerate(rides)],
        lambda answer: [one["prediction"]["ride_duration"] for one in answer],
    ),
    "instances": (
        "/v1/models/ride-duration:predict",
        lambda rides: {"instances": rides},
        lambda answer: answer["predictions"],
    ),
    "dataframe_records": (
        "/invocations",
        lambda rides: {"dataframe_records": rides},
        lambda answer: answer["predictions"],
    ),
    "dataframe_split": (
        "/invocations",
        lambda rides: {"dataframe_split": {"columns": list(FIELDS), "data": [row(ride) for ride in rides]}},
        lambda answer: answer["predictions"],
    ),
    "inputs": (
        "/invocations",
        lambda rides: {"inputs": {name: [ride.get(name) for ride in rides] for name in FIELDS}},
        lambda answer: answer["predictions"],
    ),
    "text/csv": ("/invocations", csv, lambda answer: answer["predictions"]),
    "calls": ("/", lambda rides: {"calls": [row(ride) for ride in rides]}, lambda answer: answer["replies"]),
}


@pytest.mark.parametrize("dialect", BATCHES)
def test_a_batch_over_http(
    dialect: str, rides: list[dict[str, Any]], numbers: list[float], onnx_folder: Path
) -> None:
    path, write, read = BATCHES[dialect]
    body = write(rides)
    content, kind = (body, "text/csv") if isinstance(body, bytes) else (json.dumps(body), "application/json")
    response = call(
        "predict",
        {"MODEL_URI": str(onnx_folder)},
        lambda client: client.post(path, content=content, headers={"content-type": kind}),
    )
    assert response.status_code == 200, response.text
    assert read(response.json()) == numbers


def test_one_by_one_over_http(rides: list[dict[str, Any]], numbers: list[float], onnx_folder: Path) -> None:
    async def story(client: httpx.AsyncClient) -> list[float]:
        return [(await client.post("/predict", json=ride)).json()["duration"] for ride in rides]

    assert call("predict", {"MODEL_URI": str(onnx_folder)}, story) == numbers


def test_one_by_one_through_pubsub(
    rides: list[dict[str, Any]], numbers: list[float], onnx_folder: Path, tmp_path: Path
) -> None:
    settings = {
        "MODEL_URI": str(onnx_folder),
        "PREDICTIONS_TOPIC": str(tmp_path / "predictions"),
        "DEAD_LETTER_TOPIC": str(tmp_path / "dead-letters"),
        "LOG_LEVEL": "WARNING",
    }

    async def story(client: httpx.AsyncClient) -> None:
        for number, ride in enumerate(rides):
            data = base64.b64encode(json.dumps({"ride": ride, "ride_id": number}).encode()).decode()
            await client.post("/", json={"message": {"data": data}, "subscription": "s"})

    call("predict_event", settings, story)
    lines = (tmp_path / "predictions").read_text().splitlines()
    made = [json.loads(line)["data"]["prediction"] for line in lines]
    assert [one["ride_duration"] for one in made] == numbers
    assert [one["ride_id"] for one in made] == list(range(RIDES))
