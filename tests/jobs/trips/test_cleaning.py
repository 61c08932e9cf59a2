from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pytest

from jobs.storage.files import FileAccessError
from jobs.trips.cleaning import clean_trips, read_trips

COLUMNS = ["PULocationID", "DOLocationID", "trip_distance", "pickup_datetime", "dropoff_datetime"]
BEGAN = pd.Timestamp("2021-01-04 08:00:00")


def trips(**columns: object) -> pd.DataFrame:
    """Rides of ten minutes, as `read_trips` gives them, with some columns as given."""
    length = max(len(column) for column in columns.values())  # type: ignore[arg-type]
    usual = {
        "PULocationID": [130.0] * length,
        "DOLocationID": [205.0] * length,
        "trip_distance": [3.66] * length,
        "pickup_datetime": [BEGAN] * length,
        "dropoff_datetime": [BEGAN + pd.Timedelta(minutes=10)] * length,
    }
    return pd.DataFrame(usual | columns)


def write(path: Path, prefix: str = "lpep_", **columns: object) -> str:
    names = {name: f"{prefix}{name}" for name in COLUMNS if name.endswith("datetime")}
    trips(**columns).rename(columns=names).to_parquet(path)
    return str(path)


@pytest.mark.parametrize("prefix", ["lpep_", "tpep_", ""])
def test_green_and_yellow_files_have_the_same_columns_afterwards(tmp_path: Path, prefix: str) -> None:
    read = read_trips([write(tmp_path / "month.parquet", prefix, trip_distance=[1.5])])
    assert list(read.columns) == COLUMNS
    assert read.trip_distance.tolist() == [1.5]
    assert read.pickup_datetime.tolist() == [BEGAN]


def test_several_places_are_read_one_after_the_other(tmp_path: Path) -> None:
    places = [
        write(tmp_path / "january", trip_distance=[1.0, 2.0]),
        write(tmp_path / "february", trip_distance=[3.0]),
    ]
    read = read_trips(places)
    assert read.trip_distance.tolist() == [1.0, 2.0, 3.0]
    assert read.index.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", ["int32", "int64", "Int64", "float64", "str"])
def test_ids_are_read_whatever_type_the_file_has(tmp_path: Path, kind: str) -> None:
    place = write(tmp_path / "month", PULocationID=pd.Series([130, 7]).astype(kind))
    assert clean_trips(read_trips([place])).trips.PULocationID.tolist() == [130, 7]


def test_the_case_of_column_names_does_not_matter(tmp_path: Path) -> None:
    renamed = trips(PULocationID=[130]).rename(
        columns={"PULocationID": "PUlocationID", "pickup_datetime": "Tpep_Pickup_Datetime"}
    )
    renamed.to_parquet(tmp_path / "month")
    assert list(read_trips([str(tmp_path / "month")]).columns) == COLUMNS


def test_a_month_without_drop_offs_can_be_read_and_not_learned_from(tmp_path: Path) -> None:
    trips(PULocationID=[130]).drop(columns="dropoff_datetime").to_parquet(tmp_path / "month")
    read = read_trips([str(tmp_path / "month")])
    assert read.dropoff_datetime.isna().all()
    assert clean_trips(read).dropped["pick-up or drop-off time missing"] == 1


def test_times_with_a_zone_come_to_new_yorks_clock(tmp_path: Path) -> None:
    place = write(tmp_path / "month", pickup_datetime=[pd.Timestamp("2021-07-01 12:00", tz="UTC")])
    assert read_trips([place]).pickup_datetime.tolist() == [pd.Timestamp("2021-07-01 08:00")]


def test_what_cannot_be_read_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no such month")
    trips(PULocationID=[1]).drop(columns=["trip_distance"]).to_parquet(tmp_path / "short.parquet")
    for name, sentence in {
        "absent.parquet": "does not exist",
        "text.parquet": "give a whole Parquet file",
        "short.parquet": "has no column trip_distance",
        "": "Is a directory",
    }.items():
        with pytest.raises(FileAccessError, match=sentence):
            read_trips([str(tmp_path / name)])


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A server that has `/month.parquet`, forbids `/forbidden` and breaks at anything else."""
    content = Path(write(tmp_path / "month.parquet", trip_distance=[4.2])).read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = {"/month.parquet": 200, "/forbidden": 403}.get(self.path, 500)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content if status == 200 else b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # likewise
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_month_is_read_from_the_web(web: str) -> None:
    assert read_trips([f"{web}/month.parquet"]).trip_distance.tolist() == [4.2]


def test_a_web_that_refuses_is_said_in_a_sentence(web: str) -> None:
    with pytest.raises(FileAccessError, match="answered 403: check the address"):
        read_trips([f"{web}/forbidden"])
    with pytest.raises(FileAccessError, match="answered 500: try again later"):
        read_trips([f"{web}/broken"])
    with pytest.raises(FileAccessError, match="cannot be reached"):
        read_trips(["http://127.0.0.1:1/month.parquet"])


def test_rides_of_1_to_60_minutes_are_kept() -> None:
    lengths = [-5, 0, 59, 60, 61, 3600, 3601]
    ended = [BEGAN + pd.Timedelta(seconds=seconds) for seconds in lengths]
    clean = clean_trips(trips(dropoff_datetime=ended))
    assert (clean.trips.duration * 60).round().tolist() == [60, 61, 3600]
    assert clean.trips.index.tolist() == [3, 4, 5]
    assert clean.dropped["shorter than 1 minute"] == 3
    assert clean.dropped["longer than 60 minutes"] == 1


def test_rides_outside_the_zones_are_dropped() -> None:
    clean = clean_trips(trips(DOLocationID=[0, 1, 130.5, 265, 266, np.nan]))
    assert clean.trips.DOLocationID.tolist() == [1, 265]
    assert clean.dropped["zone missing or not 1 to 265"] == 4


def test_a_distance_that_no_taxi_drives_becomes_not_recorded() -> None:
    clean = clean_trips(trips(trip_distance=[-1.0, 0.0, 0.1, 100.0, 100.1, 244_152.0, np.nan]))
    assert clean.trips.trip_distance.tolist() == [0, 0, 0.1, 100, 0, 0, 0]
    assert list(clean.mended.values()) == [4]


def test_every_trip_is_kept_or_counted_once() -> None:
    messy = trips(PULocationID=[0, 0, 130], dropoff_datetime=[pd.NaT, BEGAN, BEGAN + pd.Timedelta("5min")])
    clean = clean_trips(messy)
    assert len(clean.trips) + sum(clean.dropped.values()) == len(messy)


def test_real_months_keep_the_known_number_of_rides(real_months: dict[str, Path]) -> None:
    kept = [
        len(clean_trips(read_trips([str(real_months[month])])).trips)
        for month in ("2021-01", "2021-02", "2021-03")
    ]
    assert kept == [73_908, 61_921, 80_372]
