from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pytest

from jobs.storage.errors import FileAccessError
from jobs.trips.cleaning import clean_trips, read_trips

COLUMNS = ["PULocationID", "DOLocationID", "trip_distance", "pickup_datetime", "dropoff_datetime"]
PICKUP = pd.Timestamp("2021-01-04 08:00:00")


def trips(**columns: object) -> pd.DataFrame:
    """Rides of ten minutes in the columns of a file, some of them replaced."""
    length = max(len(column) for column in columns.values())  # type: ignore[arg-type]
    defaults = {
        "PULocationID": [130.0] * length,
        "DOLocationID": [205.0] * length,
        "trip_distance": [3.66] * length,
        "pickup_datetime": [PICKUP] * length,
        "dropoff_datetime": [PICKUP + pd.Timedelta(minutes=10)] * length,
    }
    return pd.DataFrame(defaults | columns)


def as_read(**columns: object) -> pd.DataFrame:
    """The same in the columns of `read_trips`."""
    return trips(**columns).assign(unreadable=np.uint8(0))


def write(path: Path, prefix: str = "lpep_", **columns: object) -> str:
    names = {name: f"{prefix}{name}" for name in COLUMNS if name.endswith("datetime")}
    trips(**columns).rename(columns=names).to_parquet(path)
    return str(path)


@pytest.mark.parametrize("prefix", ["lpep_", "tpep_", ""])
def test_green_and_yellow_files_have_the_same_columns_afterwards(tmp_path: Path, prefix: str) -> None:
    read = read_trips([write(tmp_path / "month.parquet", prefix, trip_distance=[1.5])])
    assert list(read.columns) == [*COLUMNS, "unreadable"]
    assert read.trip_distance.tolist() == [1.5]
    assert read.pickup_datetime.tolist() == [PICKUP]


def test_several_files_are_read_in_order(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "january", trip_distance=[1.0, 2.0]),
        write(tmp_path / "february", trip_distance=[3.0]),
    ]
    read = read_trips(paths)
    assert read.trip_distance.tolist() == [1.0, 2.0, 3.0]
    assert read.index.tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", ["int32", "int64", "Int64", "float64", "str"])
def test_ids_are_read_from_a_column_of_any_type(tmp_path: Path, dtype: str) -> None:
    path = write(tmp_path / "month", PULocationID=pd.Series([130, 7]).astype(dtype))
    assert clean_trips(read_trips([path])).trips.PULocationID.tolist() == [130, 7]


def test_the_case_of_column_names_does_not_matter(tmp_path: Path) -> None:
    renamed = trips(PULocationID=[130]).rename(
        columns={"PULocationID": "PUlocationID", "pickup_datetime": "Tpep_Pickup_Datetime"}
    )
    renamed.to_parquet(tmp_path / "month")
    assert read_trips([str(tmp_path / "month")]).PULocationID.tolist() == [130]


def test_a_month_without_drop_offs_can_be_read_but_not_used_for_training(tmp_path: Path) -> None:
    trips(PULocationID=[130]).drop(columns="dropoff_datetime").to_parquet(tmp_path / "month")
    read = read_trips([str(tmp_path / "month")])
    assert read.dropoff_datetime.isna().all()
    assert clean_trips(read).dropped["pick-up or drop-off time missing"] == 1


def test_times_with_a_zone_become_new_york_time(tmp_path: Path) -> None:
    path = write(tmp_path / "month", pickup_datetime=[pd.Timestamp("2021-07-01 12:00", tz="UTC")])
    assert read_trips([path]).pickup_datetime.tolist() == [pd.Timestamp("2021-07-01 08:00")]


def test_unreadable_files_are_reported(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no such month")
    trips(PULocationID=[1]).drop(columns=["trip_distance"]).to_parquet(tmp_path / "short.parquet")
    (tmp_path / "sub").mkdir()
    for name, message in {
        "absent.parquet": "does not exist",
        "text.parquet": "give a complete Parquet file",
        "short.parquet": "has no column trip_distance",
        "sub": "holds no Parquet or CSV files",
    }.items():
        with pytest.raises(FileAccessError, match=message):
            read_trips([str(tmp_path / name)])


@pytest.fixture
def server_url(tmp_path: Path) -> Iterator[str]:
    """A server with `/month.parquet` that answers `/forbidden` with 403 and anything else with 500."""
    content = Path(write(tmp_path / "month.parquet", trip_distance=[4.2])).read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = {"/month.parquet": 200, "/forbidden": 403}.get(self.path, 500)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content if status == 200 else b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name in the base class
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_month_is_read_over_http(server_url: str) -> None:
    assert read_trips([f"{server_url}/month.parquet"]).trip_distance.tolist() == [4.2]


def test_http_errors_are_reported(server_url: str) -> None:
    with pytest.raises(FileAccessError, match="answered 403: check the address"):
        read_trips([f"{server_url}/forbidden"])
    with pytest.raises(FileAccessError, match="answered 500: try again later"):
        read_trips([f"{server_url}/broken"])
    with pytest.raises(FileAccessError, match="cannot be reached"):
        read_trips(["http://127.0.0.1:1/month.parquet"])


def test_rides_of_1_to_60_minutes_are_kept() -> None:
    seconds = [-5, 0, 59, 60, 61, 3600, 3601]
    ended = [PICKUP + pd.Timedelta(seconds=each) for each in seconds]
    clean = clean_trips(as_read(dropoff_datetime=ended))
    assert (clean.trips.duration * 60).round().tolist() == [60, 61, 3600]
    assert clean.trips.index.tolist() == [3, 4, 5]
    assert clean.dropped["shorter than 1 minute"] == 3
    assert clean.dropped["longer than 60 minutes"] == 1


def test_rides_outside_the_zones_are_dropped() -> None:
    clean = clean_trips(as_read(DOLocationID=[0, 1, 130.5, 265, 266, np.nan]))
    assert clean.trips.DOLocationID.tolist() == [1, 265]
    assert clean.dropped["zone missing or not 1 to 265"] == 4


def test_an_impossible_distance_becomes_0() -> None:
    clean = clean_trips(as_read(trip_distance=[-1.0, 0.0, 0.1, 100.0, 100.1, 244_152.0, np.nan]))
    assert clean.trips.trip_distance.tolist() == [0, 0, 0.1, 100, 0, 0, 0]
    assert list(clean.repaired.values()) == [4]


def test_every_trip_is_kept_or_counted_once() -> None:
    messy = as_read(
        PULocationID=[0, 0, 130], dropoff_datetime=[pd.NaT, PICKUP, PICKUP + pd.Timedelta("5min")]
    )
    clean = clean_trips(messy)
    assert len(clean.trips) + sum(clean.dropped.values()) == len(messy)


def test_values_that_cannot_be_read_are_dropped_with_their_reason(tmp_path: Path) -> None:
    good, bad = "2021-01-04 08:00:00", "4 January"
    path = write(
        tmp_path / "month.parquet",
        pickup_datetime=[good, bad, good, good, None],
        dropoff_datetime=["01/04/2021 08:10:00 AM", good, bad, "2021-01-04 13:10:00+00:00", good],
        trip_distance=["1.5", "1", "1", "far", "1"],
    )
    clean = clean_trips(read_trips([path]))
    assert list(clean.trips.columns) == [*COLUMNS, "duration"]
    assert clean.trips.duration.tolist() == [10.0]
    assert {reason: count for reason, count in clean.dropped.items() if count} == {
        "pick-up time cannot be read": 1,
        "drop-off time cannot be read": 1,
        "distance is not a number": 1,
        "pick-up or drop-off time missing": 1,
    }


def test_real_months_keep_the_known_number_of_rides(real_months: dict[str, Path]) -> None:
    kept = [
        len(clean_trips(read_trips([str(real_months[month])])).trips)
        for month in ("2021-01", "2021-02", "2021-03")
    ]
    assert kept == [73_908, 61_921, 80_372]
