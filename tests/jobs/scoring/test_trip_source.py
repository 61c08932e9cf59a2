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
from jobs.scoring.job import Done
from jobs.trips.cleaning import clean_trips, read_trips
from tests.conftest import find_real_months
from tests.jobs.scoring.conftest import rejected_of, table_of, write_trips
from tests.models import save_bounded
from tests.serving import call

Score = Callable[..., Done]
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
    done = score(march)
    table = table_of(done)
    assert list(table.columns) == COURSE
    assert done.output.predictions.startswith(f"{tmp_path}/out/taxi_type=green/year=2021/month=03/")
    assert done.output.rejected.startswith(f"{tmp_path}/out/rejected/taxi_type=green/year=2021/month=03/")
    assert (table.model_version == done.model.version).all()
    np.testing.assert_array_equal(table["diff"], table.actual_duration - table.predicted_duration)


def test_in_is_predicted_and_rejected(score: Score, march: Path) -> None:
    done = score(march)
    source, table, rejected = pd.read_parquet(march), table_of(done), rejected_of(done)
    ids = [*table.ride_id, *rejected.ride_id]
    assert len(ids) == done.outcome.rows == len(source)
    assert set(ids) == {f"2021/03_{row}" for row in range(len(source))}, "the row's place in the file"
    assert len(rejected) > 100
    assert dict(rejected.reason.value_counts()) == done.outcome.rejected
    assert table.ride_id.map(lambda ride_id: int(ride_id[8:])).is_monotonic_increasing

    clean = clean_trips(read_trips([str(march)])).trips
    assert [f"2021/03_{row}" for row in clean.index] == table.ride_id.tolist(), "what training would keep"
    np.testing.assert_array_equal(table.actual_duration, clean.duration)
    as_it_came = source.loc[[int(ride_id[8:]) for ride_id in rejected.ride_id]].reset_index(drop=True)
    names = [name for name in rejected.columns if name in as_it_came]
    assert len(names) == 5
    pd.testing.assert_frame_equal(rejected[names], as_it_came[names])


def test_the_figures_are_those_of_the_table(score: Score, march: Path) -> None:
    done = score(march)
    table = table_of(done)
    assert done.outcome.mean == pytest.approx(table.predicted_duration.mean(), rel=1e-12)
    assert done.outcome.rmse == pytest.approx(np.sqrt((table["diff"] ** 2).mean()), rel=1e-12)
    assert done.outcome.mae == pytest.approx(table["diff"].abs().mean(), rel=1e-12)
    assert done.outcome.compared == len(table)


def test_a_whole_month_has_the_bits_of_the_http_function(
    score: Score, march: Path, onnx_folder: Path
) -> None:
    month = find_real_months().get("2021-03", march)
    done = score(month)
    table = table_of(done)
    trips = clean_trips(read_trips([str(month)])).trips
    trips["pickup_datetime"] = trips.pickup_datetime.dt.strftime("%Y-%m-%dT%H:%M:%S.%f")
    rides = trips[["PULocationID", "DOLocationID", "trip_distance", "pickup_datetime"]].to_dict("records")

    async def story(client: httpx.AsyncClient) -> list[float]:
        numbers: list[float] = []
        for first in range(0, len(rides), BODY_RIDES):
            body = {"instances": rides[first : first + BODY_RIDES]}
            numbers += (await client.post("/predict", json=body)).json()["predictions"]
        return numbers

    assert call("predict", {"MODEL_URI": str(onnx_folder)}, story) == table.predicted_duration.tolist()
    assert table.predicted_duration.nunique() > 200


def test_yellow_trips(score: Score, tmp_path: Path) -> None:
    done = score(write_trips(tmp_path / "yellow_tripdata_2021-03.parquet", prefix="tpep_"))
    assert "/taxi_type=yellow/year=2021/month=03/" in done.output.predictions
    assert list(table_of(done).columns) == [name.replace("lpep", "tpep") for name in COURSE]


def test_a_month_without_drop_offs_is_predicted_and_compared_with_nothing(
    score: Score, tmp_path: Path
) -> None:
    done = score(write_trips(tmp_path / MARCH, 3, lpep_dropoff_datetime=None))
    table = table_of(done)
    assert list(table.columns) == COURSE
    assert table.actual_duration.isna().all()
    assert table["diff"].isna().all()
    assert table.predicted_duration.notna().all()
    schema = pq.read_schema(done.output.predictions)
    assert (schema.field("actual_duration").type, schema.field("diff").type) == (pa.float64(), pa.float64())
    assert done.outcome.compared == 0
    assert math.isnan(done.outcome.rmse)


def test_each_row_that_cannot_be_predicted_says_why(score: Score, tmp_path: Path) -> None:
    zones = [0, 266, None, 130, 130, 130]
    began = 1614586800_000_000
    ended = [began + seconds * 1_000_000 for seconds in (600, 600, 600, 59, 3601, 600)]
    place = write_trips(
        tmp_path / MARCH, 6, DOLocationID=zones, lpep_dropoff_datetime=pa.array(ended, pa.timestamp("us"))
    )
    done = score(place)
    zone = "zone missing or not 1 to 265"
    assert rejected_of(done)[["ride_id", "reason"]].to_numpy().tolist() == [
        ["2021/03_0", zone],
        ["2021/03_1", zone],
        ["2021/03_2", zone],
        ["2021/03_3", "shorter than 1 minute"],
        ["2021/03_4", "longer than 60 minutes"],
    ]
    assert table_of(done).ride_id.tolist() == ["2021/03_5"]


def test_what_is_unknown_is_predicted_as_unknown(score: Score, tmp_path: Path, onnx_folder: Path) -> None:
    miles = [1000.0, -1.0, None, 0.0]
    done = score(
        write_trips(
            tmp_path / MARCH,
            4,
            trip_distance=miles,
            lpep_pickup_datetime=pa.array([None] * 4, pa.timestamp("us")),
        )
    )
    (alone,) = load_model(resolve(str(onnx_folder))).predict(ride_columns([Ride(130, 205, 0.0)]))
    table = table_of(done)
    assert table.predicted_duration.tolist() == [alone] * 4
    assert table.lpep_pickup_datetime.isna().all()
    assert done.outcome.mended.total() == 3


def test_a_number_that_cannot_be_is_no_prediction(score: Score, tmp_path: Path) -> None:
    place = write_trips(tmp_path / MARCH, 2, trip_distance=[1.0, 19.0])
    done = score(place, model=str(save_bounded(tmp_path / "bounded")))
    assert table_of(done).ride_id.tolist() == ["2021/03_0"]
    assert rejected_of(done).reason.tolist() == ["the model's number cannot be"]


def test_no_trips_at_all_are_two_files_without_rows(score: Score, tmp_path: Path) -> None:
    done = score(write_trips(tmp_path / MARCH, 0))
    assert list(table_of(done).columns) == COURSE
    assert len(table_of(done)) == len(rejected_of(done)) == done.outcome.rows == 0
    assert math.isnan(done.outcome.mean)
