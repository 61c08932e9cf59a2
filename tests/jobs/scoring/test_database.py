"""The views over Parquet files, in a folder and in a bucket."""

import uuid
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from functions.artifacts import storage_client
from jobs.local.emulators import BUCKET
from jobs.scoring.database import VIEWS, QueryFailed, open_database
from jobs.scoring.engine import IMPLAUSIBLE
from jobs.storage.errors import FileAccessError
from jobs.storage.gcs import blob_at

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


def query(sql, folder):
    with open_database(str(folder)) as database:
        return list(database.query(sql).rows)


@pytest.fixture
def in_bucket(monkeypatch, storage):
    """Takes a folder to a URI of its own in the emulator's bucket."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage)
    storage_client.cache_clear()

    def upload(folder):
        uri = f"gs://{BUCKET}/{uuid.uuid4().hex[:8]}/months"
        for path in folder.rglob("*.parquet"):
            blob_at(f"{uri}/{path.relative_to(folder)}").upload_from_filename(path)
        return uri

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
        rides = list(database.query("select model_version from rides where ride_id = '2021/03_1'").rows)
        assert rides == [(newest,)]
        assert list(database.query("select count(*) from rides").rows) == [(3,)]
        assert list(database.query("select count(*) from predictions").rows) == [(4,)]


def test_a_ride_that_one_version_scored_twice_is_one_row(tmp_path):
    for name in ("a", "b"):
        write(tmp_path, f"{MARCH}/{name}.parquet", ride(), ride("2021/03_2"))
    assert query("select ride_id from rides order by 1", tmp_path) == [("2021/03_1",), ("2021/03_2",)]


def test_the_same_id_of_other_taxis_and_of_another_month_is_another_ride(tmp_path):
    for name in ("a", "b"):
        write(tmp_path, f"{MARCH}/{name}.parquet", ride())
        write(tmp_path, f"taxi_type=yellow/year=2021/month=03/{name}.parquet", ride(prefix="tpep"))
        write(tmp_path, f"taxi_type=green/year=2022/month=03/{name}.parquet", ride())
    found = query("select taxi_type, year, month from rides order by all", tmp_path)
    assert found == [("green", 2021, 3), ("green", 2022, 3), ("yellow", 2021, 3)]
    assert query("select count(*) from rides where month = 3 and year > 2021", tmp_path) == [(1,)]


def test_zones_have_names(tmp_path):
    write(
        tmp_path,
        f"{MARCH}/run.parquet",
        ride("a", PULocationID=132, DOLocationID=264),
        ride("b", PULocationID=1, DOLocationID=205),
    )
    names = "pickup_zone, pickup_borough, dropoff_zone, dropoff_borough"
    assert query(f"select {names} from rides order by ride_id", tmp_path) == [
        ("JFK Airport", "Queens", "NV", "Unknown"),
        ("Newark Airport", "EWR", "Saint Albans", "Queens"),
    ]
    assert query("select count(*), max(LocationID), count(latitude) from zones", tmp_path) == [
        (265, 265, 263)
    ]


@pytest.mark.parametrize(("taxi", "prefix"), [("green", "lpep"), ("yellow", "tpep")])
def test_one_kind_of_taxis_alone_has_the_same_columns(tmp_path, taxi, prefix):
    write(tmp_path, f"taxi_type={taxi}/year=2021/month=03/run.parquet", ride(prefix=prefix))
    with open_database(str(tmp_path)) as database:
        result = database.query("from rides")
        assert result.columns == COLUMNS
        (row,) = result.rows
        assert row[:5] == (taxi, 2021, 3, "2021/03_1", WHEN)
        (predicted,) = database.query("select pickup_datetime, predicted_duration from predictions").rows
        assert predicted == (WHEN, 20.0)


def test_unknown_values_are_null(tmp_path):
    write(tmp_path, f"{MARCH}/ended.parquet", ride("a"))
    write(tmp_path, f"{MARCH}/under_way.parquet", ride("b", actual_duration=None, diff=None))
    write(tmp_path, f"{MARCH}/homework.parquet", {"ride_id": "c", "predicted_duration": 3.0})
    assert query(
        "select ride_id, pickup_datetime is null, actual_duration, predicted_duration, diff, model_version "
        "from rides order by 1",
        tmp_path,
    ) == [
        ("a", False, 21.0, 20.0, 1.0, "1"),
        ("b", False, None, 20.0, None, "1"),
        ("c", True, None, 3.0, None, None),
    ]
    assert query("select typeof(actual_duration), typeof(month) from rides limit 1", tmp_path) == [
        ("DOUBLE", "INTEGER")
    ]


def test_all_actual_values_may_be_unknown(tmp_path):
    write(tmp_path, f"{MARCH}/run.parquet", ride(actual_duration=None, diff=None))
    assert query("select count(*), avg(diff), count(actual_duration) from rides", tmp_path) == [(1, None, 0)]


def test_other_files_are_ignored(tmp_path):
    write(tmp_path, f"{MARCH}/run.parquet", ride())
    write(tmp_path, "homework.parquet", {"ride_id": "x", "predicted_duration": 3.0})
    write(tmp_path, "old/taxi_type=green/year=2021/month=03/run.parquet", ride("x"))
    (tmp_path / MARCH / ".run.parquet.12ab.part").write_bytes(b"PAR1, and then it was killed")
    (tmp_path / MARCH / "._run.parquet").write_bytes(b"of another system")
    assert query("select ride_id from predictions", tmp_path) == [("2021/03_1",)]


def test_predictions_of_another_target_are_not_durations(tmp_path):
    write(tmp_path, f"{MARCH}/minutes.parquet", ride())
    dollars = {"ride_id": "2021/03_1", "predicted_cost": 17.5, "model_version": "7"}
    for month in (MARCH, MARCH.replace("03", "04")):
        write(tmp_path, f"{month}/dollars.parquet", dollars)
    assert query("select predicted_duration from rides", tmp_path) == [(20.0,)]
    sql = "select month, predicted_cost from predictions where predicted_cost > 0 order by 1"
    found = query(sql, tmp_path)
    assert found == [(3, 17.5), (4, 17.5)]


def test_tables_that_do_not_hold_trips(tmp_path):
    write(tmp_path, "input=customers_2021-03/1.parquet", {"customer": 7, "predicted_churn": 0.9})
    write(tmp_path, "input=customers_2021-04/1.parquet", {"customer": 8, "predicted_churn": 0.1})
    found = query("select input, customer from tables where predicted_churn > 0.5", tmp_path)
    assert found == [("customers_2021-03", 7)]
    assert query("from rides", tmp_path) == []


def test_rejected_rows_keep_their_original_values(tmp_path):
    row = {
        "ride_id": "2021/03_1",
        "PULocationID": 999,
        "trip_distance": 1.0,
        "lpep_pickup_datetime": WHEN,
        "reason": "zone missing or not 1 to 265",
    }
    for name in ("a", "b"):
        write(tmp_path, f"rejected/{MARCH}/{name}.parquet", row)
    yellow = "rejected/taxi_type=yellow/year=2021/month=03/a.parquet"
    text = row | {"PULocationID": "JFK", "tpep_pickup_datetime": "soon"}
    text.pop("lpep_pickup_datetime")
    write(tmp_path, yellow, text)
    columns = "taxi_type, month, pickup_datetime, PULocationID, reason"
    assert query(f"select {columns} from rejected order by all", tmp_path) == [
        ("green", 3, WHEN, "999", row["reason"]),
        ("yellow", 3, None, "JFK", row["reason"]),
    ]
    assert query("select count(*) from predictions", tmp_path) == [(0,)]


def test_times_of_rejected_rows_are_new_yorks_whatever_their_type(tmp_path):
    zoned = pd.Timestamp("2021-03-04 10:06", tz="UTC")
    values = [WHEN, zoned, str(WHEN), zoned.isoformat(), "03/04/2021 05:06:00 AM", "soon"]
    for month, value in enumerate(values, 1):
        row = {"ride_id": str(value), "lpep_pickup_datetime": value, "reason": "no zone"}
        write(tmp_path, f"rejected/taxi_type=green/year=2021/month=0{month}/a.parquet", row)
        # A file alone keeps its type; beside files of another type, DuckDB reads all as text.
        alone = write(tmp_path / str(month), f"rejected/{MARCH}/a.parquet", row).parents[4]
        assert query("select pickup_datetime from rejected", alone) == [(None if value == "soon" else WHEN,)]
    found = query("select pickup_datetime from rejected order by month", tmp_path)
    assert found == [(WHEN,), (WHEN,), (WHEN,), (WHEN,), (WHEN,), (None,)]


def test_rejected_rides_of_for_hire_vehicles(tmp_path):
    row = {"pickup_datetime": WHEN, "PULocationID": 999, "trip_miles": 1.5, "reason": "no zone"}
    write(tmp_path, "rejected/taxi_type=fhvhv/year=2021/month=03/a.parquet", row)
    ordinary = {"pickup_datetime": WHEN, "dropOff_datetime": WHEN, "PUlocationID": 999.0, "reason": "no zone"}
    write(tmp_path, "rejected/taxi_type=fhv/year=2021/month=03/a.parquet", ordinary)
    columns = "taxi_type, pickup_datetime, dropoff_datetime, PULocationID, trip_distance"
    assert query(f"select {columns} from rejected order by 1", tmp_path) == [
        ("fhv", WHEN, WHEN, 999, None),
        ("fhvhv", WHEN, None, 999, 1.5),
    ]


def test_a_ride_that_any_version_predicted_is_not_rejected(tmp_path):
    def reject(name, *ride_ids):
        rows = [{"ride_id": ride_id, "reason": IMPLAUSIBLE} for ride_id in ride_ids]
        write(tmp_path, f"rejected/{name}.parquet", *rows)

    april = MARCH.replace("03", "04")
    write(tmp_path, f"{MARCH}/old.parquet", ride("a"), ride("b"))
    write(tmp_path, f"{MARCH}/new.parquet", ride("b", model_version="2"), ride("c", model_version="2"))
    reject(f"{MARCH}/old", "c", "d")
    reject(f"{MARCH}/new", "a", "d")
    # From an older run whose predictions were removed, and a ride whose id also occurs in another month.
    write(tmp_path, f"{april}/new.parquet", ride("e", model_version="2"))
    reject(f"{april}/old", "a", "e")
    # A prediction of another target is not a duration.
    write(tmp_path, f"{MARCH}/dollars.parquet", {"ride_id": "d", "predicted_cost": 17.5})
    assert query("select month, ride_id from rejected order by all", tmp_path) == [(3, "d"), (4, "a")]
    assert query("select month, ride_id from rides order by all", tmp_path) == [
        (3, "a"),
        (3, "b"),
        (3, "c"),
        (4, "e"),
    ]


@pytest.mark.parametrize("name", ["a=b", "a?b", "%41", "a#b", "a [1]*", "=", "__HIVE_DEFAULT_PARTITION__"])
def test_inputs_may_have_any_name(tmp_path, in_bucket, name):
    write(tmp_path, f"input={name}/1.parquet", {"customer": 7, "predicted_churn": 0.9})
    write(tmp_path, "input=customers/1.parquet", {"customer": 8, "predicted_churn": 0.1})
    write(tmp_path, f"{MARCH}/run.parquet", ride())
    write(tmp_path, f"taxi_type={name}/year=2021/month=03/run.parquet", ride())
    # The emulator's links to objects break if a name holds one of these; Google's are quoted.
    locations = [tmp_path] if set("?%#") & set(name) else [tmp_path, in_bucket(tmp_path)]
    for location in locations:
        found = query("select input, customer from tables order by customer", location)
        assert found == [(name, 7), ("customers", 8)]
        found = query("select taxi_type, year, month from rides order by taxi_type = 'green'", location)
        assert found == [(name, 2021, 3), ("green", 2021, 3)]


@pytest.mark.parametrize("above", ["model_version=7", "year=1999", "input=x", "reason=y", "taxi_type=a=b"])
def test_folders_above_the_queried_folder_are_ignored(tmp_path, above):
    for folder in (tmp_path / "plain", tmp_path / above):
        write(folder, f"{MARCH}/run.parquet", ride())
        write(folder, f"rejected/{MARCH}/run.parquet", {"ride_id": "2021/03_2", "reason": "no zone"})
        write(folder, "input=customers/1.parquet", {"customer": 7, "predicted_churn": 0.9})
    for view in VIEWS:
        with open_database(str(tmp_path / "plain")) as plain, open_database(str(tmp_path / above)) as nested:
            expected, found = plain.query(f"from {view}"), nested.query(f"from {view}")
            assert found.columns == expected.columns
            assert list(found.rows) == list(expected.rows)


def test_a_query_for_one_month_reads_only_that_month(tmp_path):
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
                assert len(list(database.query(f"{sql} and month = {month}").rows)) == 1
            with pytest.raises(QueryFailed):
                list(database.query(sql).rows)


def test_all_views_and_no_others_are_described(tmp_path):
    write(tmp_path, f"{MARCH}/run.parquet", ride())
    assert {name for (name,) in query("show tables", tmp_path)} == set(VIEWS)


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_folder_without_predictions_is_an_error(tmp_path, name):
    with pytest.raises(FileAccessError, match=r"holds no predictions as taxi_type=.*score --output"):
        query("from rides", tmp_path / name)


def test_a_damaged_file_is_named(tmp_path):
    path = write(tmp_path, f"{MARCH}/run.parquet", ride())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FileAccessError, match=r"run\.parquet'\): score that month again$"):
        query("from rides", tmp_path)


@pytest.mark.parametrize("name", ["a [1]*", "it's", "with=sign"])
def test_a_folder_may_have_any_name(tmp_path, name):
    write(tmp_path / name, f"{MARCH}/run.parquet", ride())
    write(tmp_path / "a 1x", f"{MARCH}/run.parquet", ride("x"))
    assert query("select ride_id from rides", tmp_path / name) == [("2021/03_1",)]


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
    file = write(tmp_path, f"predictions/{MARCH}/run.parquet", ride())
    other = write(tmp_path, "other.parquet", {"secret": 1})
    before = file.read_bytes()
    names = {"file": file, "other": other, "elsewhere": tmp_path / "elsewhere"}
    with pytest.raises(QueryFailed):
        query(sql.format(**names), tmp_path / "predictions")
    assert file.read_bytes() == before
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("sql", ["describe rides", "summarize rides", "pivot rides on month using count(*)"])
def test_duckdbs_shorthands_are_queries(tmp_path, sql):
    write(tmp_path, f"{MARCH}/run.parquet", ride())
    assert query(sql, tmp_path)


def test_a_bucket_answers_as_a_folder_does(tmp_path, in_bucket):
    rows = [ride(f"2021/03_{number}", predicted_duration=float(number)) for number in range(1000)]
    write(tmp_path, f"{MARCH}/a.parquet", *rows)
    write(tmp_path, f"{MARCH}/b.parquet", *(row | {"model_version": "2"} for row in rows[:10]))
    write(tmp_path, "taxi_type=yellow/year=2021/month=04/a.parquet", ride(prefix="tpep"))
    write(tmp_path, f"rejected/{MARCH}/a.parquet", {"ride_id": "2021/03_1001", "reason": "no zone"})
    write(tmp_path, "homework.parquet", {"ride_id": "x", "predicted_duration": 3.0})
    uri = in_bucket(tmp_path)
    for view in VIEWS:
        expected = query(f"from {view} order by all", tmp_path)
        assert expected or view == "tables"
        assert query(f"from {view} order by all", uri) == expected
        assert query(f"from {view} order by all", f"{uri}/") == expected


def test_a_bucket_is_only_read_and_only_its_own_files(tmp_path, in_bucket):
    write(tmp_path, f"{MARCH}/a.parquet", ride())
    write(tmp_path, "other.parquet", {"secret": 1})
    uri = in_bucket(tmp_path)
    for sql in (f"copy (from rides) to '{uri}/x.parquet'", f"from read_parquet('{uri}/other.parquet')"):
        with pytest.raises(QueryFailed):
            query(sql, uri)
    assert not blob_at(f"{uri}/x.parquet").exists()


def test_a_missing_folder_or_bucket_is_an_error(in_bucket, tmp_path):
    with pytest.raises(FileAccessError, match="holds no predictions"):
        query("from rides", f"gs://{BUCKET}/nothing-here")
    with pytest.raises(FileAccessError, match="does not exist: look with `gcloud storage ls`"):
        query("from rides", "gs://no-such-bucket/months")
    with pytest.raises(FileAccessError, match="names no bucket"):
        query("from rides", "gs://")


def test_an_object_deleted_during_a_query_is_an_error(tmp_path, in_bucket):
    write(tmp_path, f"{MARCH}/a.parquet", ride())
    uri = in_bucket(tmp_path)
    with open_database(uri) as database:
        blob_at(f"{uri}/{MARCH}/a.parquet").delete()
        with pytest.raises(QueryFailed, match=r"^gs://\S+/a\.parquet does not exist: look with"):
            list(database.query("from rides").rows)


def shards(folder, sort, run, *parts):
    """Writes a run in shards: one for each list of rows."""
    for number, rows in enumerate(parts):
        write(folder, f"{sort}{MARCH}/{run}-{number:05}-of-{len(parts):05}.parquet", *rows)


@pytest.mark.parametrize("storage_kind", ["folder", "bucket"])
def test_a_run_in_shards_is_one_run(tmp_path, storage_kind, in_bucket):
    shards(tmp_path, "", "run-v1", [ride("a"), ride("b")], [ride("c")])
    shards(tmp_path, "rejected/", "run-v1", [ride("d", reason="too long")], [ride("e", reason="too long")])
    found = in_bucket(tmp_path) if storage_kind == "bucket" else tmp_path
    assert query("select ride_id from rides order by 1", found) == [("a",), ("b",), ("c",)]
    assert query("select ride_id from rejected order by 1", found) == [("d",), ("e",)]
    # It is read as a month with one run, whose rows are not compared.
    assert query("select count(*) from files.predictions_many_runs", found) == [(0,)]


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (["run-v1.parquet"], "old"),
        (["run-v1-00000-of-00001.parquet"], "old"),
        (["run-v1-00000-of-00003.parquet", "run-v1-00002-of-00003.parquet"], "new"),
    ],
    ids=["whole", "other shards", "some shards"],
)
def test_a_ride_appears_once_while_a_run_replaces_its_files(tmp_path, left, expected):
    for name in left:
        write(tmp_path, f"{MARCH}/{name}", ride("a", actual_duration=1.0), ride("b", actual_duration=1.0))
    shards(tmp_path, "", "run-v1", [ride("a")], [ride("b")])
    for view in ("rides", "predictions"):
        found = query(f"select ride_id, actual_duration from {view} order by 1", tmp_path)
        assert found == [("a", {"old": 1.0, "new": 21.0}[expected]), ("b", found[0][1])]


def test_incomplete_sets_of_shards_are_ignored(tmp_path):
    shards(tmp_path, "", "run-v2", [ride("a", model_version="2")], [ride("b", model_version="2")])
    (tmp_path / MARCH / "run-v2-00001-of-00002.parquet").unlink()
    with pytest.raises(FileAccessError, match="holds no predictions"):
        query("from rides", tmp_path)
    write(tmp_path, f"{MARCH}/run-v1.parquet", ride("a"), ride("b"))
    assert query("select distinct model_version from rides", tmp_path) == [("1",)]


def test_two_runs_in_shards_are_compared(tmp_path):
    for version in ("1", "2"):
        rows = [ride("a", model_version=version)], [ride("b", model_version=version)]
        shards(tmp_path, "", f"run-v{version}", *rows)
    assert query("select ride_id, model_version from rides order by 1", tmp_path) == [("a", "2"), ("b", "2")]
    assert query("select count(*) from predictions", tmp_path) == [(4,)]
