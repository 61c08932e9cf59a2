"""Trips in, the course's columns out."""

import math
from collections.abc import Callable
from datetime import date
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
from jobs.storage.errors import FileAccessError
from jobs.trips.cleaning import clean_trips, read_trips
from jobs.trips.synthetic import generate_month
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


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_csv_gives_the_files_of_parquet(score: Score, march: Path, tmp_path: Path, ending: str) -> None:
    csv = tmp_path / f"{march.stem}.{ending}"
    pd.read_parquet(march).to_csv(csv, index=False)
    whole, copy = score(march, str(tmp_path / "whole")), score(csv, str(tmp_path / "copy"))
    assert Path(copy.output.predictions).read_bytes() == Path(whole.output.predictions).read_bytes()
    assert copy.stats == whole.stats
    assert rejected_of(copy).ride_id.tolist() == rejected_of(whole).ride_id.tolist()


def test_parts_in_a_folder_give_the_files_of_the_whole_month(
    score: Score, march: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "2021-03"
    folder.mkdir()
    month = pq.read_table(march)
    pq.write_table(month.slice(0, 15_000), folder / "part-0.parquet")
    seconds = month.schema.get_field_index("lpep_pickup_datetime")
    other = month.slice(15_000, 10_000)
    times = other["lpep_pickup_datetime"].cast(pa.timestamp("ns"))
    pq.write_table(other.set_column(seconds, "lpep_pickup_datetime", times), folder / "part-1.parquet")
    month.slice(25_000).to_pandas().to_csv(folder / "part-2.csv.gz", index=False)
    (folder / "_SUCCESS").touch()
    whole, parts = score(march, str(tmp_path / "whole")), score(folder, str(tmp_path / "parts"))
    assert Path(parts.output.predictions).read_bytes() == Path(whole.output.predictions).read_bytes()
    assert parts.output.predictions.removeprefix(f"{tmp_path}/parts") == (
        whole.output.predictions.removeprefix(f"{tmp_path}/whole")
    )
    again = score(f"{folder}/part-*", str(tmp_path / "parts"))
    assert (again.stats.predicted, again.stats.rejected) == (whole.stats.predicted, whole.stats.rejected)


def test_values_that_cannot_be_read_are_rejected_with_their_reason(score: Score, tmp_path: Path) -> None:
    good = "03/01/2021 08:20:00 AM"
    path = write_trips(
        tmp_path / MARCH,
        5,
        lpep_pickup_datetime=[good, "1 March", None, good, good],
        lpep_dropoff_datetime=["2021-03-01 08:30:00"] * 3 + ["later", "2021-03-01T13:30:00Z"],
        trip_distance=["3.66", "3.66", "NaN", "3.66", "far"],
    )
    result = score(path)
    assert table_of(result).ride_id.tolist() == ["2021/03_0", "2021/03_2"]
    usual = table_of(score(write_trips(tmp_path / "usual" / MARCH), str(tmp_path / "usual")))
    assert table_of(result).predicted_duration[0] == usual.predicted_duration[0]
    assert rejected_of(result)[["ride_id", "reason"]].to_numpy().tolist() == [
        ["2021/03_1", "pick-up time cannot be read"],
        ["2021/03_3", "drop-off time cannot be read"],
        ["2021/03_4", "distance is not a number"],
    ]
    assert rejected_of(result).trip_distance.tolist() == ["3.66", "3.66", "far"]


@pytest.mark.parametrize("taxi", ["fhvhv", "fhv"])
def test_for_hire_vehicles(score: Score, tmp_path: Path, taxi: str) -> None:
    month = generate_month(date(2021, 3, 1), 1_000, taxi=taxi)
    path = tmp_path / f"{taxi}_tripdata_2021-03.parquet"
    pq.write_table(month, path)
    result = score(path)
    assert f"/taxi_type={taxi}/year=2021/month=03/" in result.output.predictions
    assert list(table_of(result).columns) == [name.removeprefix("lpep_") for name in COURSE]
    green = tmp_path / MARCH
    trips = generate_month(date(2021, 3, 1), 1_000)
    if taxi == "fhv":
        trips = trips.set_column(
            trips.schema.get_field_index("trip_distance"), "trip_distance", pa.nulls(1_000)
        )
    pq.write_table(trips, green)
    assert table_of(result).predicted_duration.tolist() == table_of(score(green)).predicted_duration.tolist()
    if taxi == "fhv":
        assert result.stats.repaired.total() == result.stats.predicted


def test_coordinates_instead_of_zones_are_named(score: Score, tmp_path: Path) -> None:
    zones = {"PULocationID": None, "DOLocationID": None, "Start_Lon": [-73.9]}
    with pytest.raises(FileAccessError, match="months before 2011 have coordinates instead of zones"):
        score(write_trips(tmp_path / "yellow_tripdata_2009-01.parquet", prefix="Trip_", **zones))


def test_a_folder_of_several_months_is_not_one(score: Score, tmp_path: Path) -> None:
    for name in ("green_tripdata_2021-02.parquet", MARCH):
        write_trips(tmp_path / "months" / name)
    with pytest.raises(FileAccessError, match=r"holds several months \(2021-02, 2021-03\)"):
        score(tmp_path / "months")
