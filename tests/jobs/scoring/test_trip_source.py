"""Trips in, the course's columns out."""

import math
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.features import ride_columns
from functions.model import load_model
from functions.resolver import resolve
from functions.rides import Ride
from jobs.scoring.job import ScoringResult
from jobs.trips.cleaning import clean_trips, read_trips
from tests.conftest import find_real_months
from tests.jobs.scoring.conftest import rejected_of, table_of, write_trips
from tests.models import save_bounded
from tests.serving import call

Score = Callable[..., ScoringResult]
COURSE = [
    "ride_id",
    "lpep_pickup_datetime",
    "PULocationID",
    "DOLocationID",
    "actual_duration",
    "predicted_duration",
    "diff",
    "model_version",
]
BODY_RIDES = 1000
MARCH = "green_tripdata_2021-03.parquet"


def test_the_course_s_columns_and_layout(score: Score, march: Path, tmp_path: Path) -> None:
    result = score(march)
    table = table_of(result)
    assert list(table.columns) == COURSE
    assert result.output.predictions.startswith(f"{tmp_path}/out/taxi_type=green/year=2021/month=03/")
    assert result.output.rejected.startswith(f"{tmp_path}/out/rejected/taxi_type=green/year=2021/month=03/")
    assert (table.model_version == result.model.version).all()
    np.testing.assert_array_equal(table["diff"], table.actual_duration - table.predicted_duration)


def test_every_row_is_predicted_or_rejected(score: Score, march: Path) -> None:
    result = score(march)
    source, table, rejected = pd.read_parquet(march), table_of(result), rejected_of(result)
    ids = [*table.ride_id, *rejected.ride_id]
    assert len(ids) == result.stats.rows == len(source)
    assert set(ids) == {f"2021/03_{row}" for row in range(len(source))}, "the row's index in the file"
    assert len(rejected) > 100
    assert dict(rejected.reason.value_counts()) == result.stats.rejected
    assert table.ride_id.map(lambda ride_id: int(ride_id[8:])).is_monotonic_increasing

    clean = clean_trips(read_trips([str(march)])).trips
    assert [f"2021/03_{row}" for row in clean.index] == table.ride_id.tolist(), "the rows that training keeps"
    np.testing.assert_array_equal(table.actual_duration, clean.duration)
    as_it_came = source.loc[[int(ride_id[8:]) for ride_id in rejected.ride_id]].reset_index(drop=True)
    names = [name for name in rejected.columns if name in as_it_came]
    assert len(names) == 5
    pd.testing.assert_frame_equal(rejected[names], as_it_came[names])


def test_the_figures_are_those_of_the_table(score: Score, march: Path) -> None:
    result = score(march)
    table = table_of(result)
    assert result.stats.mean == pytest.approx(table.predicted_duration.mean(), rel=1e-12)
    assert result.stats.rmse == pytest.approx(np.sqrt((table["diff"] ** 2).mean()), rel=1e-12)
    assert result.stats.mae == pytest.approx(table["diff"].abs().mean(), rel=1e-12)
    assert result.stats.compared == len(table)


def test_a_whole_month_has_the_bits_of_the_http_function(
    score: Score, march: Path, onnx_folder: Path
) -> None:
    month = find_real_months().get("2021-03", march)
    result = score(month)
    table = table_of(result)
    trips = clean_trips(read_trips([str(month)])).trips
    trips["pickup_datetime"] = trips.pickup_datetime.dt.strftime("%Y-%m-%dT%H:%M:%S.%f")
    rides = trips[["PULocationID", "DOLocationID", "trip_distance", "pickup_datetime"]].to_dict("records")

    async def post_rides(client: httpx.AsyncClient) -> list[float]:
        numbers: list[float] = []
        for first in range(0, len(rides), BODY_RIDES):
            body = {"instances": rides[first : first + BODY_RIDES]}
            numbers += (await client.post("/predict", json=body)).json()["predictions"]
        return numbers

    assert call("predict", {"MODEL_URI": str(onnx_folder)}, post_rides) == table.predicted_duration.tolist()
    assert table.predicted_duration.nunique() > 200


def test_yellow_trips(score: Score, tmp_path: Path) -> None:
    result = score(write_trips(tmp_path / "yellow_tripdata_2021-03.parquet", prefix="tpep_"))
    assert "/taxi_type=yellow/year=2021/month=03/" in result.output.predictions
    assert list(table_of(result).columns) == [name.replace("lpep", "tpep") for name in COURSE]


def test_a_month_without_drop_offs_is_predicted_and_compared_with_nothing(
    score: Score, tmp_path: Path
) -> None:
    result = score(write_trips(tmp_path / MARCH, 3, lpep_dropoff_datetime=None))
    table = table_of(result)
    assert list(table.columns) == COURSE
    assert table.actual_duration.isna().all()
    assert table["diff"].isna().all()
    assert table.predicted_duration.notna().all()
    schema = pq.read_schema(result.output.predictions)
    assert (schema.field("actual_duration").type, schema.field("diff").type) == (pa.float64(), pa.float64())
    assert result.stats.compared == 0
    assert math.isnan(result.stats.rmse)


def test_each_rejected_row_has_its_reason(score: Score, tmp_path: Path) -> None:
    zones = [0, 266, None, 130, 130, 130]
    began = 1614586800_000_000
    ended = [began + seconds * 1_000_000 for seconds in (600, 600, 600, 59, 3601, 600)]
    path = write_trips(
        tmp_path / MARCH, 6, DOLocationID=zones, lpep_dropoff_datetime=pa.array(ended, pa.timestamp("us"))
    )
    result = score(path)
    zone = "zone missing or not 1 to 265"
    assert rejected_of(result)[["ride_id", "reason"]].to_numpy().tolist() == [
        ["2021/03_0", zone],
        ["2021/03_1", zone],
        ["2021/03_2", zone],
        ["2021/03_3", "shorter than 1 minute"],
        ["2021/03_4", "longer than 60 minutes"],
    ]
    assert table_of(result).ride_id.tolist() == ["2021/03_5"]


def test_impossible_values_are_predicted_as_unknown(score: Score, tmp_path: Path, onnx_folder: Path) -> None:
    miles = [1000.0, -1.0, None, 0.0]
    result = score(
        write_trips(
            tmp_path / MARCH,
            4,
            trip_distance=miles,
            lpep_pickup_datetime=pa.array([None] * 4, pa.timestamp("us")),
        )
    )
    (alone,) = load_model(resolve(str(onnx_folder))).predict(ride_columns([Ride(130, 205, 0.0)]))
    table = table_of(result)
    assert table.predicted_duration.tolist() == [alone] * 4
    assert table.lpep_pickup_datetime.isna().all()
    assert result.stats.repaired.total() == 3


def test_an_impossible_prediction_is_rejected(score: Score, tmp_path: Path) -> None:
    path = write_trips(tmp_path / MARCH, 2, trip_distance=[1.0, 19.0])
    result = score(path, model=str(save_bounded(tmp_path / "bounded")))
    assert table_of(result).ride_id.tolist() == ["2021/03_0"]
    assert rejected_of(result).reason.tolist() == ["the model predicted an impossible value"]


def test_no_trips_at_all_are_two_files_without_rows(score: Score, tmp_path: Path) -> None:
    result = score(write_trips(tmp_path / MARCH, 0))
    assert list(table_of(result).columns) == COURSE
    assert len(table_of(result)) == len(rejected_of(result)) == result.stats.rows == 0
    assert math.isnan(result.stats.mean)
