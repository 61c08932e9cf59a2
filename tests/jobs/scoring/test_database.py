"""The views over Parquet files, in a folder and in a bucket."""

import uuid
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from functions.artifacts import storage_client
from jobs.local.emulators import BUCKET
from jobs.scoring.database import VIEWS, NoAnswer, open_database
from jobs.storage.files import FileAccessError, blob_at

COLUMNS = [
    *("taxi_type", "year", "month", "ride_id", "pickup_datetime"),
    *("PULocationID", "pickup_zone", "pickup_borough", "DOLocationID", "dropoff_zone", "dropoff_borough"),
    *("actual_duration", "predicted_duration", "diff", "model_version"),
]
MARCH = "taxi_type=green/year=2021/month=03"
WHEN = datetime(2021, 3, 4, 5, 6)


def ride(ride_id="2021/03_1", prefix="lpep", **changes):
    """A row as `score` writes it."""
    return {
        "ride_id": ride_id,
        f"{prefix}_pickup_datetime": WHEN,
        "PULocationID": 130,
        "DOLocationID": 205,
        "actual_duration": 21.0,
        "predicted_duration": 20.0,
        "diff": 1.0,
        "model_version": "1",
    } | changes


def write(folder, name, *rows):
    path = Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(path)
    return path


def ask(sql, place):
    with open_database(str(place)) as database:
        return list(database.ask(sql).rows)


@pytest.fixture
def in_bucket(monkeypatch, storage):
    """Takes a folder to a place of its own in the emulator's bucket."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage)
    storage_client.cache_clear()

    def upload(folder):
        place = f"gs://{BUCKET}/{uuid.uuid4().hex[:8]}/months"
        for path in folder.rglob("*.parquet"):
            blob_at(f"{place}/{path.relative_to(folder)}").upload_from_filename(path)
        return place

    yield upload
    storage_client.cache_clear()


@pytest.mark.parametrize(
    ("versions", "newest"),
    [
        (["9", "10"], "10"),
        (["10", "9"], "10"),
        (["m-9f", "2"], "2"),
        (["m-1", "m-2"], "m-2"),
        ([None, "m-1"], "m-1"),
    ],
)
def test_the_newest_version_of_a_ride_wins(tmp_path, versions, newest):
    for number, version in enumerate(versions):
        write(tmp_path, f"{MARCH}/run{number}.parquet", ride(model_version=version), ride(f"only {number}"))
    with open_database(str(tmp_path)) as database:
        rides = list(database.ask("select model_version from rides where ride_id = '2021/03_1'").rows)
        assert rides == [(newest,)]
        assert list(database.ask("select count(*) from rides").rows) == [(3,)]
        assert list(database.ask("select count(*) from predictions").rows) == [(4,)]


def test_a_ride_that_one_version_scored_twice_is_one_ride(tmp_path):
    for name in ("a", "b"):
        write(tmp_path, f"{MARCH}/{name}.parquet", ride(), ride("2021/03_2"))
    assert ask("select ride_id from rides order by 1", tmp_path) == [("2021/03_1",), ("2021/03_2",)]


def test_the_same_id_of_other_taxis_and_of_another_month_is_another_ride(tmp_path):
    for name in ("a", "b"):
        write(tmp_path, f"{MARCH}/{name}.parquet", ride())
        write(tmp_path, f"taxi_type=yellow/year=2021/month=03/{name}.parquet", ride(prefix="tpep"))
        write(tmp_path, f"taxi_type=green/year=2022/month=03/{name}.parquet", ride())
    found = ask("select taxi_type, year, month from rides order by all", tmp_path)
    assert found == [("green", 2021, 3), ("green", 2022, 3), ("yellow", 2021, 3)]
    assert ask("select count(*) from rides where month = 3 and year > 2021", tmp_path) == [(1,)]


def test_zones_have_names(tmp_path):
    write(
        tmp_path,
        f"{MARCH}/run.parquet",
        ride("a", PULocationID=132, DOLocationID=264),
        ride("b", PULocationID=1, DOLocationID=205),
    )
    names = "pickup_zone, pickup_borough, dropoff_zone, dropoff_borough"
    assert ask(f"select {names} from rides order by ride_id", tmp_path) == [
        ("JFK Airport", "Queens", "NV", "Unknown"),
        ("Newark Airport", "EWR", "Saint Albans", "Queens"),
    ]
    assert ask("select count(*), max(LocationID), count(latitude) from zones", tmp_path) == [(265, 265, 263)]


@pytest.mark.parametrize(("taxi", "prefix"), [("green", "lpep"), ("yellow", "tpep")])
def test_one_kind_of_taxis_alone_has_the_same_columns(tmp_path, taxi, prefix):
    write(tmp_path, f"taxi_type={taxi}/year=2021/month=03/run.parquet", ride(prefix=prefix))
    with open_database(str(tmp_path)) as database:
        answer = database.ask("from rides")
        assert answer.columns == COLUMNS
        (row,) = answer.rows
        assert row[:5] == (taxi, 2021, 3, "2021/03_1", WHEN)
        (predicted,) = database.ask("select pickup_datetime, predicted_duration from predictions").rows
        assert predicted == (WHEN, 20.0)


def test_what_nobody_knows_is_null(tmp_path):
    write(tmp_path, f"{MARCH}/ended.parquet", ride("a"))
    write(tmp_path, f"{MARCH}/under_way.parquet", ride("b", actual_duration=None, diff=None))
    write(tmp_path, f"{MARCH}/homework.parquet", {"ride_id": "c", "predicted_duration": 3.0})
    assert ask(
        "select ride_id, pickup_datetime is null, actual_duration, predicted_duration, diff, model_version "
        "from rides order by 1",
        tmp_path,
    ) == [
        ("a", False, 21.0, 20.0, 1.0, "1"),
        ("b", False, None, 20.0, None, "1"),
        ("c", True, None, 3.0, None, None),
    ]
    assert ask("select typeof(actual_duration), typeof(month) from rides limit 1", tmp_path) == [
        ("DOUBLE", "INTEGER")
    ]


def test_only_actuals_that_nobody_knows(tmp_path):
    write(tmp_path, f"{MARCH}/run.parquet", ride(actual_duration=None, diff=None))
    assert ask("select count(*), avg(diff), count(actual_duration) from rides", tmp_path) == [(1, None, 0)]


def test_other_files_are_passed_over(tmp_path):
    write(tmp_path, f"{MARCH}/run.parquet", ride())
    write(tmp_path, "homework.parquet", {"ride_id": "x", "predicted_duration": 3.0})
    write(tmp_path, "old/taxi_type=green/year=2021/month=03/run.parquet", ride("x"))
    (tmp_path / MARCH / ".run.parquet.12ab.part").write_bytes(b"PAR1, and then it was killed")
    (tmp_path / MARCH / "._run.parquet").write_bytes(b"of another system")
    assert ask("select ride_id from predictions", tmp_path) == [("2021/03_1",)]


def test_predictions_of_another_target_are_no_durations(tmp_path):
    write(tmp_path, f"{MARCH}/minutes.parquet", ride())
    dollars = {"ride_id": "2021/03_1", "predicted_cost": 17.5, "model_version": "7"}
    for month in (MARCH, MARCH.replace("03", "04")):
        write(tmp_path, f"{month}/dollars.parquet", dollars)
    assert ask("select predicted_duration from rides", tmp_path) == [(20.0,)]
    found = ask("select month, predicted_cost from predictions where predicted_cost > 0 order by 1", tmp_path)
    assert found == [(3, 17.5), (4, 17.5)]


def test_tables_that_are_no_trips(tmp_path):
    write(tmp_path, "input=customers_2021-03/1.parquet", {"customer": 7, "predicted_churn": 0.9})
    write(tmp_path, "input=customers_2021-04/1.parquet", {"customer": 8, "predicted_churn": 0.1})
    found = ask("select input, customer from tables where predicted_churn > 0.5", tmp_path)
    assert found == [("customers_2021-03", 7)]
    assert ask("from rides", tmp_path) == []


def test_rejected_rows_are_as_they_came(tmp_path):
    came = {
        "ride_id": "2021/03_1",
        "PULocationID": 999,
        "trip_distance": 1.0,
        "lpep_pickup_datetime": WHEN,
        "reason": "zone missing or not 1 to 265",
    }
    for name in ("a", "b"):
        write(tmp_path, f"rejected/{MARCH}/{name}.parquet", came)
    yellow = "rejected/taxi_type=yellow/year=2021/month=03/a.parquet"
    text = came | {"PULocationID": "JFK", "tpep_pickup_datetime": "soon"}
    text.pop("lpep_pickup_datetime")
    write(tmp_path, yellow, text)
    columns = "taxi_type, month, pickup_datetime, PULocationID, reason"
    assert ask(f"select {columns} from rejected order by all", tmp_path) == [
        ("green", 3, WHEN, "999", came["reason"]),
        ("yellow", 3, None, "JFK", came["reason"]),
    ]
    assert ask("select count(*) from predictions", tmp_path) == [(0,)]


def test_times_of_rejected_rows_are_new_yorks_whatever_their_type(tmp_path):
    zoned = pd.Timestamp("2021-03-04 10:06", tz="UTC")
    for month, came in enumerate([WHEN, zoned, str(WHEN), zoned.isoformat(), "soon"], 1):
        row = {"ride_id": str(came), "lpep_pickup_datetime": came, "reason": "no zone"}
        write(tmp_path, f"rejected/taxi_type=green/year=2021/month=0{month}/a.parquet", row)
        # As files of one type are; beside files of another, DuckDB makes text of all.
        alone = write(tmp_path / str(month), f"rejected/{MARCH}/a.parquet", row).parents[4]
        assert ask("select pickup_datetime from rejected", alone) == [(None if came == "soon" else WHEN,)]
    found = ask("select pickup_datetime from rejected order by month", tmp_path)
    assert found == [(WHEN,), (WHEN,), (WHEN,), (WHEN,), (None,)]


def test_a_ride_that_any_version_predicted_is_not_rejected(tmp_path):
    def reject(name, *ride_ids):
        rows = [{"ride_id": ride_id, "reason": "the model's number cannot be"} for ride_id in ride_ids]
        write(tmp_path, f"rejected/{name}.parquet", *rows)

    april = MARCH.replace("03", "04")
    write(tmp_path, f"{MARCH}/old.parquet", ride("a"), ride("b"))
    write(tmp_path, f"{MARCH}/new.parquet", ride("b", model_version="2"), ride("c", model_version="2"))
    reject(f"{MARCH}/old", "c", "d")
    reject(f"{MARCH}/new", "a", "d")
    # Of an older run, whose predictions were removed; and of a ride whose id is known from another month.
    write(tmp_path, f"{april}/new.parquet", ride("e", model_version="2"))
    reject(f"{april}/old", "a", "e")
    # Another target's number is no duration.
    write(tmp_path, f"{MARCH}/dollars.parquet", {"ride_id": "d", "predicted_cost": 17.5})
    assert ask("select month, ride_id from rejected order by all", tmp_path) == [(3, "d"), (4, "a")]
    assert ask("select month, ride_id from rides order by all", tmp_path) == [
        (3, "a"),
        (3, "b"),
        (3, "c"),
        (4, "e"),
    ]


@pytest.mark.parametrize("name", ["a=b", "a?b", "%41", "a#b", "a [1]*", "=", "__HIVE_DEFAULT_PARTITION__"])
def test_what_is_predicted_may_be_called_anything(tmp_path, in_bucket, name):
    write(tmp_path, f"input={name}/1.parquet", {"customer": 7, "predicted_churn": 0.9})
    write(tmp_path, "input=customers/1.parquet", {"customer": 8, "predicted_churn": 0.1})
    write(tmp_path, f"{MARCH}/run.parquet", ride())
    write(tmp_path, f"taxi_type={name}/year=2021/month=03/run.parquet", ride())
    # The emulator's links to objects are misread where a name holds one of these; Google's are quoted.
    places = [tmp_path] if set("?%#") & set(name) else [tmp_path, in_bucket(tmp_path)]
    for place in places:
        found = ask("select input, customer from tables order by customer", place)
        assert found == [(name, 7), ("customers", 8)]
        found = ask("select taxi_type, year, month from rides order by taxi_type = 'green'", place)
        assert found == [(name, 2021, 3), ("green", 2021, 3)]


@pytest.mark.parametrize("above", ["model_version=7", "year=1999", "input=x", "reason=y", "taxi_type=a=b"])
def test_folders_above_the_place_say_nothing(tmp_path, above):
    for place in (tmp_path / "plain", tmp_path / above):
        write(place, f"{MARCH}/run.parquet", ride())
        write(place, f"rejected/{MARCH}/run.parquet", {"ride_id": "2021/03_2", "reason": "no zone"})
        write(place, "input=customers/1.parquet", {"customer": 7, "predicted_churn": 0.9})
    for view in VIEWS:
        with open_database(str(tmp_path / "plain")) as plain, open_database(str(tmp_path / above)) as odd:
            expected, found = plain.ask(f"from {view}"), odd.ask(f"from {view}")
            assert found.columns == expected.columns
            assert list(found.rows) == list(expected.rows)


def test_who_asks_for_one_month_reads_that_month_alone(tmp_path):
    april, may, march_before = (MARCH.replace(*other) for other in (("03", "04"), ("03", "05"), ("1", "0")))
    for month, run in [(MARCH, "a"), (april, "a"), (april, "b"), (may, "a"), (may, "b"), (march_before, "a")]:
        spoilt = [
            write(tmp_path, f"{month}/{run}.parquet", ride()),
            write(tmp_path, f"rejected/{month}/{run}.parquet", {"ride_id": "x", "reason": "no zone"}),
        ]
        for path in spoilt if month not in {MARCH, april} else []:
            footer = pq.read_metadata(path).serialized_size + 8
            content = path.read_bytes()
            path.write_bytes(b"PAR1".ljust(len(content) - footer, b"x") + content[-footer:])
    with open_database(str(tmp_path)) as database:
        for view in ("rides", "predictions", "rejected"):
            sql = f"select distinct ride_id from {view} where taxi_type = 'green' and year = 2021"
            for month in (3, 4):
                assert len(list(database.ask(f"{sql} and month = {month}").rows)) == 1
            with pytest.raises(NoAnswer):
                list(database.ask(sql).rows)


def test_all_views_and_no_others_are_described(tmp_path):
    write(tmp_path, f"{MARCH}/run.parquet", ride())
    assert {name for (name,) in ask("show tables", tmp_path)} == set(VIEWS)


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_place_without_predictions_is_told(tmp_path, name):
    with pytest.raises(FileAccessError, match=r"holds no predictions as taxi_type=.*score --output"):
        ask("from rides", tmp_path / name)


def test_a_damaged_file_is_named(tmp_path):
    path = write(tmp_path, f"{MARCH}/run.parquet", ride())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FileAccessError, match=r"run\.parquet'\): score that month again$"):
        ask("from rides", tmp_path)


@pytest.mark.parametrize("name", ["a [1]*", "it's", "with=sign"])
def test_a_folder_may_be_called_anything(tmp_path, name):
    write(tmp_path / name, f"{MARCH}/run.parquet", ride())
    write(tmp_path / "a 1x", f"{MARCH}/run.parquet", ride("x"))
    assert ask("select ride_id from rides", tmp_path / name) == [("2021/03_1",)]


@pytest.mark.parametrize(
    "sql",
    [
        "copy (from rides) to '{file}' (use_tmp_file false)",
        "copy (from rides) to '{elsewhere}'",
        "explain analyze copy (from rides) to '{file}' (use_tmp_file false)",
        "export database '{elsewhere}'",
        "attach '{elsewhere}'",
        "set threads = 1",
        "from read_parquet('{other}')",
        "from '{other}'",
        "select content from read_text('{other}')",
        "from rides; from rides",
        "",
    ],
)
def test_it_only_reads_and_only_its_own_files(tmp_path, sql):
    file = write(tmp_path, f"place/{MARCH}/run.parquet", ride())
    other = write(tmp_path, "other.parquet", {"secret": 1})
    before = file.read_bytes()
    names = {"file": file, "other": other, "elsewhere": tmp_path / "elsewhere"}
    with pytest.raises(NoAnswer):
        ask(sql.format(**names), tmp_path / "place")
    assert file.read_bytes() == before
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("sql", ["describe rides", "summarize rides", "pivot rides on month using count(*)"])
def test_analysts_shorthands_are_questions_too(tmp_path, sql):
    write(tmp_path, f"{MARCH}/run.parquet", ride())
    assert ask(sql, tmp_path)


def test_a_bucket_answers_as_a_folder_does(tmp_path, in_bucket):
    rows = [ride(f"2021/03_{number}", predicted_duration=float(number)) for number in range(1000)]
    write(tmp_path, f"{MARCH}/a.parquet", *rows)
    write(tmp_path, f"{MARCH}/b.parquet", *(row | {"model_version": "2"} for row in rows[:10]))
    write(tmp_path, "taxi_type=yellow/year=2021/month=04/a.parquet", ride(prefix="tpep"))
    write(tmp_path, f"rejected/{MARCH}/a.parquet", {"ride_id": "2021/03_1001", "reason": "no zone"})
    write(tmp_path, "homework.parquet", {"ride_id": "x", "predicted_duration": 3.0})
    place = in_bucket(tmp_path)
    for view in VIEWS:
        expected = ask(f"from {view} order by all", tmp_path)
        assert expected or view == "tables"
        assert ask(f"from {view} order by all", place) == expected
        assert ask(f"from {view} order by all", f"{place}/") == expected


def test_a_bucket_is_only_read_and_only_its_own_files(tmp_path, in_bucket):
    write(tmp_path, f"{MARCH}/a.parquet", ride())
    write(tmp_path, "other.parquet", {"secret": 1})
    place = in_bucket(tmp_path)
    for sql in (f"copy (from rides) to '{place}/x.parquet'", f"from read_parquet('{place}/other.parquet')"):
        with pytest.raises(NoAnswer):
            ask(sql, place)
    assert not blob_at(f"{place}/x.parquet").exists()


def test_what_is_not_in_a_bucket_is_told(in_bucket, tmp_path):
    with pytest.raises(FileAccessError, match="holds no predictions"):
        ask("from rides", f"gs://{BUCKET}/nothing-here")
    with pytest.raises(FileAccessError, match="does not exist: look with `gcloud storage ls`"):
        ask("from rides", "gs://no-such-bucket/months")
    with pytest.raises(FileAccessError, match="names no bucket"):
        ask("from rides", "gs://")


def test_an_object_that_goes_while_it_is_asked_for_is_told(tmp_path, in_bucket):
    write(tmp_path, f"{MARCH}/a.parquet", ride())
    place = in_bucket(tmp_path)
    with open_database(place) as database:
        blob_at(f"{place}/{MARCH}/a.parquet").delete()
        with pytest.raises(NoAnswer, match=r"^gs://\S+/a\.parquet does not exist: look with"):
            list(database.ask("from rides").rows)


def shards(folder, sort, run, *parts):
    """A run in shards, one a list of rows."""
    for number, rows in enumerate(parts):
        write(folder, f"{sort}{MARCH}/{run}-{number:05}-of-{len(parts):05}.parquet", *rows)


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_a_run_in_shards_is_one_run(tmp_path, place, in_bucket):
    shards(tmp_path, "", "run-v1", [ride("a"), ride("b")], [ride("c")])
    shards(tmp_path, "rejected/", "run-v1", [ride("d", reason="too long")], [ride("e", reason="too long")])
    found = in_bucket(tmp_path) if place == "bucket" else tmp_path
    assert ask("select ride_id from rides order by 1", found) == [("a",), ("b",), ("c",)]
    assert ask("select ride_id from rejected order by 1", found) == [("d",), ("e",)]
    # The way of months with one run, on which nothing is compared.
    assert ask("select count(*) from files.predictions_again", found) == [(0,)]


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (["run-v1.parquet"], "old"),
        (["run-v1-00000-of-00001.parquet"], "old"),
        (["run-v1-00000-of-00003.parquet", "run-v1-00002-of-00003.parquet"], "new"),
    ],
    ids=["whole", "other shards", "some shards"],
)
def test_a_ride_is_there_once_while_a_run_replaces_itself(tmp_path, left, expected):
    for name in left:
        write(tmp_path, f"{MARCH}/{name}", ride("a", actual_duration=1.0), ride("b", actual_duration=1.0))
    shards(tmp_path, "", "run-v1", [ride("a")], [ride("b")])
    for view in ("rides", "predictions"):
        found = ask(f"select ride_id, actual_duration from {view} order by 1", tmp_path)
        assert found == [("a", {"old": 1.0, "new": 21.0}[expected]), ("b", found[0][1])]


def test_shards_that_are_not_all_there_are_not_shown(tmp_path):
    shards(tmp_path, "", "run-v2", [ride("a", model_version="2")], [ride("b", model_version="2")])
    (tmp_path / MARCH / "run-v2-00001-of-00002.parquet").unlink()
    with pytest.raises(FileAccessError, match="holds no predictions"):
        ask("from rides", tmp_path)
    write(tmp_path, f"{MARCH}/run-v1.parquet", ride("a"), ride("b"))
    assert ask("select distinct model_version from rides", tmp_path) == [("1",)]


def test_two_runs_in_shards_are_compared(tmp_path):
    for version in ("1", "2"):
        rows = [ride("a", model_version=version)], [ride("b", model_version=version)]
        shards(tmp_path, "", f"run-v{version}", *rows)
    assert ask("select ride_id, model_version from rides order by 1", tmp_path) == [("a", "2"), ("b", "2")]
    assert ask("select count(*) from predictions", tmp_path) == [(4,)]
