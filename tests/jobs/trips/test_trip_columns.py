"""Files that are not trips as they are, and the commands that convert them."""

import json
import re
import shlex
import shutil
import subprocess
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.rides import NEW_YORK
from jobs.storage.errors import FileAccessError
from jobs.trips.cleaning import read_trips
from jobs.trips.conversion import conversion_command, epoch_unit

PICKUP, DROPOFF = "lpep_pickup_datetime", "lpep_dropoff_datetime"
TIMES = [datetime(2021, 3, 1, 8, 20), datetime(2021, 3, 1, 20, 5, 30)]
SECONDS = [int((time - datetime(1970, 1, 1)).total_seconds()) for time in TIMES]
ISO = [str(time) for time in TIMES]


def write(path: Path, **columns: object) -> str:
    """Two rides with some columns as given; None leaves a column out."""
    defaults = {
        PICKUP: TIMES,
        DROPOFF: TIMES,
        "PULocationID": [130, 7],
        "DOLocationID": [205, 7],
        "trip_distance": [3.66, 1.5],
    }
    present = {name: values for name, values in (defaults | columns).items() if values is not None}
    pq.write_table(pa.table(present), path)
    return str(path)


def error_of(uri: str) -> str:
    with pytest.raises(FileAccessError) as raised:
        read_trips([uri])
    message = str(raised.value)
    assert message.startswith(uri)
    assert "\n" not in message
    return message


def both(column: pa.Array | list[object]) -> dict[str, object]:
    """A column as both times."""
    return {PICKUP: column, DROPOFF: column}


WITHOUT_ZONES = {"PULocationID": None, "DOLocationID": None}
CONVERTED: dict[str, tuple[dict[str, object], str]] = {
    "seconds": (
        both(pa.array(SECONDS, pa.uint32())),
        f"has uint32 in {PICKUP}, such as {SECONDS[0]}",
    ),
    "milliseconds": (both(pa.array([1000 * each for each in SECONDS])), f"has int64 in {PICKUP}"),
    "seconds as a number": (both(pa.array(SECONDS, pa.float64())), f"has double in {PICKUP}"),
    "seconds as text": (
        both([str(each) for each in SECONDS]),
        "a number does not say whether it counts",
    ),
    "bytes": (
        both([text.encode() for text in ISO]),
        f"has binary in {PICKUP}, such as b'2021-03-01",
    ),
    "day first": (
        both([f"{time:%d/%m/%Y %H:%M:%S}" for time in TIMES]),
        f'has text in {PICKUP} of which nothing can be read, such as "01/03/2021 08:20:00": write times like',
    ),
    "decimal commas": ({"trip_distance": ["3,66", "1,5"]}, 'such as "3,66": write a decimal point'),
    "other names": (
        {**WITHOUT_ZONES, "pu_location_id": [130, 7], "DO Location ID": [205, 7]},
        "has no column PULocationID and no DOLocationID: rename pu_location_id and DO Location ID",
    ),
    "two columns for one field": (
        {"pickup_datetime": [*TIMES[:1], None], PICKUP: [None, *TIMES[1:]]},
        f"has {PICKUP} and pickup_datetime, which are names of the same field: drop one, or merge them",
    ),
}


def command_in(message: str) -> str:
    command = re.search("with `(.*)`", message)
    assert command
    return command[1]


@pytest.mark.parametrize(("columns", "message"), CONVERTED.values(), ids=CONVERTED)
def test_the_command_in_the_message_converts_the_file(
    tmp_path: Path, columns: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / 'it\'s "$HOME" `2021-03`.parquet', **columns)
    found = error_of(path)
    assert message in found
    _python, option, program = shlex.split(command_in(found))
    assert option == "-c"
    monkeypatch.chdir(tmp_path)
    exec(program, {})  # as the interpreter runs it, without the second that pandas takes to import
    (converted,) = tmp_path.glob("*`2021-03`-converted.parquet")
    assert_the_two_rides(converted)


def assert_the_two_rides(path: Path) -> None:
    read = read_trips([str(path)])
    assert read.pickup_datetime.tolist() == [pd.Timestamp(time) for time in TIMES]
    assert read.PULocationID.tolist() == [130, 7]
    assert read.trip_distance.tolist() == [3.66, 1.5]
    assert not read.unreadable.any()


def test_the_command_works_in_a_shell_for_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / 'it\'s "$HOME" `2021-03`.csv'
    rows = [
        f"{seconds};{zones};{miles}"
        for seconds, zones, miles in zip(SECONDS, ("130;205", "7;7"), (3.66, 1.5), strict=True)
    ]
    path.write_text("\n".join([f"{PICKUP};PULocationID;DOLocationID;trip_distance", *rows]))
    python, _, arguments = command_in(error_of(str(path))).partition(" ")
    subprocess.run(
        ["bash", "-c", f"{Path(shutil.which(python) or python).absolute()} {arguments}"],
        cwd=tmp_path,
        check=True,
    )
    (converted,) = tmp_path.glob("*-converted.parquet")
    assert_the_two_rides(converted)


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "coordinates of 2009": (
        {**WITHOUT_ZONES, "Start_Lon": [-73.9, -73.9], "Start_Lat": [40.7, 40.7]},
        "has no PULocationID and no DOLocationID: months before 2011 have coordinates instead of zones",
    ),
    "coordinates of 2010": (
        {**WITHOUT_ZONES, "pickup_longitude": [-73.9, -73.9]},
        "months before 2011 have coordinates instead of zones; give a month of 2011 or later",
    ),
    "dates": (
        both([date(2021, 3, 1)] * 2),
        f"has date32[day] in {PICKUP}, such as 2021-03-01: the",
    ),
    "dates as text": (both(["2021-03-01"] * 2), "the time of day is missing; give a file with times"),
    "durations": (both(pa.array([1, 2], pa.duration("s"))), "where times are expected: convert the column"),
    "compact numbers": (
        both([20210301082000, 20210301200530]),
        "where times are expected: convert the column",
    ),
    "true and false": (
        {"PULocationID": [True, False]},
        "has bool in PULocationID, such as True, where",
    ),
    "lists": ({"trip_distance": [[1.0], [2.0]]}, "has list<"),
    "structures": ({"DOLocationID": [{"a": 1}, {"a": 2}]}, "has struct<"),
    "times as zones": ({"DOLocationID": TIMES}, "has timestamp[us] in DOLocationID"),
    "names of zones": (
        {"PULocationID": ["JFK Airport", None]},
        'such as "JFK Airport": write the numbers',
    ),
    "no distance": ({"trip_distance": None}, "has no column trip_distance: give TLC's trip records"),
    "names in two cases": (
        {"PUlocationID": [130, 7]},
        "has PULocationID and PUlocationID, which are",
    ),
}


@pytest.mark.parametrize(("columns", "message"), REFUSED.values(), ids=REFUSED)
def test_other_files_are_refused_in_one_line(
    tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    assert message in error_of(write(tmp_path / "2021-03.parquet", **columns))


def test_nulls_come_before_the_first_readable_value(tmp_path: Path) -> None:
    rows = 40_000
    texts = [None] * (rows - 2) + ["soon", ISO[0]]
    fields = {
        name: values * (rows // 2) for name, values in (("PULocationID", [130, 7]), ("DOLocationID", [1, 2]))
    }
    path = write(tmp_path / "month", **both(texts), **fields, trip_distance=["1"] * rows)
    read = read_trips([path])
    assert read.unreadable.tolist()[-2:] == [3, 0]
    assert read.unreadable.sum() == 3
    for nothing in (None, "", "NaT"):
        path = write(tmp_path / "month", **both(pa.array([nothing] * 2, pa.string())))
        assert read_trips([path]).pickup_datetime.isna().all()


def test_the_file_of_a_folder_is_named(tmp_path: Path) -> None:
    write(tmp_path / "part-0.parquet")
    path = write(tmp_path / "part-1.parquet", **both(pa.array(SECONDS, pa.uint32())))
    with pytest.raises(FileAccessError, match=re.escape(f"{path} has uint32")):
        read_trips([str(tmp_path)])
    write(tmp_path / "part-1.parquet", trip_distance=None)
    with pytest.raises(FileAccessError, match=r"part-1\.parquet has no column trip_distance, unlike"):
        read_trips([str(tmp_path)])


def test_types_that_differ_from_part_to_part_give_the_same_trips(tmp_path: Path) -> None:
    folder = tmp_path / "2021-03"
    folder.mkdir()
    utc = pa.array([time.replace(tzinfo=NEW_YORK) for time in TIMES], pa.timestamp("us", "UTC"))
    kinds: list[dict[str, object]] = [
        {},
        both(pa.array(TIMES, pa.timestamp("ns"))) | {"PULocationID": pa.array([130, 7], pa.int32())},
        both(pa.array(TIMES, pa.timestamp("ms"))) | {"PULocationID": [130.0, 7.0]},
        both(pa.array([f"{time}-05:00" for time in TIMES], pa.large_string()))
        | {"PULocationID": ["130", "7"]},
        both(pa.array(ISO).dictionary_encode()),
        both(utc),
        {"trip_distance": pa.array([Decimal("3.66"), Decimal("1.50")], pa.decimal128(5, 2))},
        {"trip_distance": ["3.66", " 1.5 "]},
    ]
    for number, columns in enumerate(kinds):
        write(folder / f"part-{number}.parquet", **columns)
    read = read_trips([str(folder)])
    one = read_trips([write(tmp_path / "one.parquet")])
    pd.testing.assert_frame_equal(read, pd.concat([one] * len(kinds), ignore_index=True))


def test_commands_for_files_that_are_elsewhere() -> None:
    change = "t = t[:1]"
    assert conversion_command("gs://b/a b/2021-03.csv.gz", change).startswith(
        "gcloud storage cp 'gs://b/a b/2021-03.csv.gz' . && "
    )
    web = conversion_command("https://host/2021-03.parquet", change)
    assert web.startswith("curl -fO https://host/2021-03.parquet && ")
    assert json.dumps("2021-03.parquet") in web
    assert 'to_parquet("2021-03-converted.parquet")' in web


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (SECONDS[0], "s"),
        (SECONDS[0] * 10**3, "ms"),
        (SECONDS[0] * 10**6, "us"),
        (np.int64(SECONDS[0] * 10**9), "ns"),
        (str(SECONDS[0]), "s"),
        (44_256.35, ""),
        (20210301082000, ""),
        ("soon", ""),
        (None, ""),
    ],
)
def test_epoch_unit(value: object, unit: str) -> None:
    assert epoch_unit(value) == unit
