from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.features import ride_columns
from functions.rides import Ride
from jobs.storage.errors import FileAccessError
from jobs.trips.cleaning import clean_trips, read_trips
from jobs.trips.records import open_trips, to_ride_columns, trip_minutes

ONE = {"PULocationID": [130], "DOLocationID": [205], "trip_distance": [3.66]}


def write(path: Path, **columns: object) -> str:
    pq.write_table(pa.table(ONE | columns), path)
    return str(path)


@pytest.mark.parametrize(
    ("prefix", "taxi"),
    [("lpep_", "green"), ("tpep_", "yellow"), ("Lpep_", "green"), ("Trip_", "yellow"), ("", "")],
)
def test_the_column_names_tell_green_from_yellow(tmp_path: Path, prefix: str, taxi: str) -> None:
    time = pa.array([0], pa.timestamp("us"))
    with open_trips(write(tmp_path / "month", **{f"{prefix}pickup_datetime": time})) as file:
        assert file.taxi == taxi
        assert file.names["pickup_datetime"] == f"{prefix}pickup_datetime"


def test_trips_are_read_in_batches_of_a_size(tmp_path: Path) -> None:
    columns = {name: values * 10 for name, values in ONE.items()}
    path = write(tmp_path / "month", **columns, lpep_pickup_datetime=pa.array(range(10), pa.timestamp("us")))
    with open_trips(path) as file:
        read = [file.trips(batch) for batch in file.batches(4)]
    assert [len(trips.trip_distance) for trips in read] == [4, 4, 2]
    assert np.concatenate([trips.pickup_datetime for trips in read]).astype(int).tolist() == list(range(10))
    assert all(np.isnat(trips.dropoff_datetime).all() for trips in read)


def test_every_column_that_is_missing_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"trip_distance": [1.0]}), tmp_path / "month")
    message = "has no column PULocationID and no DOLocationID and no pickup_datetime: give TLC's trip records"
    with pytest.raises(FileAccessError, match=message), open_trips(str(tmp_path / "month")):
        pass


FOR_HIRE = {
    "fhv": {
        "dispatching_base_num": ["B00001"],
        "pickup_datetime": [datetime(2021, 3, 1, 8)],
        "dropOff_datetime": [datetime(2021, 3, 1, 8, 10)],
        "PUlocationID": [130.0],
        "DOlocationID": [205.0],
        "SR_Flag": pa.nulls(1),
    },
    "fhvhv": {
        "hvfhs_license_num": ["HV0003"],
        "dispatching_base_num": ["B00001"],
        "request_datetime": [datetime(2021, 3, 1, 7, 50)],
        "on_scene_datetime": [datetime(2021, 3, 1, 7, 55)],
        "pickup_datetime": [datetime(2021, 3, 1, 8)],
        "dropoff_datetime": [datetime(2021, 3, 1, 8, 10)],
        "PULocationID": pa.array([130], pa.int32()),
        "DOLocationID": pa.array([205], pa.int32()),
        "trip_miles": [3.66],
        "trip_time": [600],
    },
}


@pytest.mark.parametrize("taxi", FOR_HIRE)
def test_for_hire_vehicles(tmp_path: Path, taxi: str) -> None:
    pq.write_table(pa.table(FOR_HIRE[taxi]), tmp_path / "month")
    with open_trips(str(tmp_path / "month")) as file:
        (batch,) = file.batches(10)
        trips = file.trips(batch)
    assert file.taxi == taxi
    assert (trips.PULocationID[0], trips.DOLocationID[0]) == (130, 205)
    np.testing.assert_array_equal(trips.trip_distance, [3.66 if taxi == "fhvhv" else np.nan])
    assert trip_minutes(trips).tolist() == [10]
    assert trips.unreadable.tolist() == [0]


def test_a_month_of_2025(tmp_path: Path) -> None:
    time = pa.array([0], pa.timestamp("us"))
    path = write(
        tmp_path / "month",
        PULocationID=pa.array([130], pa.int32()),
        store_and_fwd_flag=pa.array(["N"], pa.large_string()),
        tpep_pickup_datetime=time,
        tpep_dropoff_datetime=time,
        cbd_congestion_fee=[0.75],
    )
    assert read_trips([path]).PULocationID.tolist() == [130]


def one_by_one(table: pd.DataFrame) -> list[Ride]:
    return [
        Ride(
            int(row.PULocationID),
            int(row.DOLocationID),
            float(row.trip_distance),
            None if row.pickup_datetime is pd.NaT else row.pickup_datetime.to_pydatetime(),
        )
        for row in table.itertuples()
    ]


def test_columns_are_bit_identical_to_single_rides(real_months: dict[str, Path]) -> None:
    table = clean_trips(read_trips([str(real_months["2021-01"])])).trips.head(3000).copy()
    table.loc[table.index[::3], "pickup_datetime"] = pd.NaT
    for together, alone in zip(to_ride_columns(table), ride_columns(one_by_one(table)), strict=True):
        assert together.dtype == alone.dtype
        assert together.tobytes() == alone.tobytes()


def test_minutes_are_whole_at_the_ends_of_a_minute_and_before_1970() -> None:
    times = [
        "2021-03-14 01:59:59.999999",
        "2021-03-14 02:00:00",
        "1969-12-31 23:59:59",
        "2009-01-01 00:03:25",
    ]
    table = pd.DataFrame({"pickup_datetime": pd.to_datetime(times, format="ISO8601")})
    table = table.assign(PULocationID=130, DOLocationID=205, trip_distance=3.66)
    assert np.array(to_ride_columns(table)).tobytes() == np.array(ride_columns(one_by_one(table))).tobytes()
