"""The documented queries and the command, on months that `score` has scored."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from functions.releases import Release, encode_release
from functions.zones import ZONES
from jobs.commands.query import MAX_ROWS, command
from jobs.commands.score import command as score
from jobs.registry.model_store import build_manifest
from jobs.scoring.database import VIEWS

DOCUMENT = Path("docs/batch.md").read_text().partition("## Query predictions with SQL\n")[2].split("\n## ")[0]
QUERIES = re.findall(r"\*\*([^*]+)\*\*.*?```sql\n(.*?)```", DOCUMENT, re.DOTALL)
AIRPORTS = [1, 132, 138]
TRIPS = 400


def write_trips(path, month, prefix="lpep", *, ended=True):
    """Trips between a dozen zones, some too short, too long or from no zone."""
    draw = np.random.default_rng(month)
    zones = [*AIRPORTS, 7, 41, 61, 74, 75, 95, 119, 181, 264]
    pickup = pd.Timestamp(2021, month, 1) + pd.to_timedelta(draw.integers(0, 27 * 86400, TRIPS), "s")
    trips = {
        f"{prefix}_pickup_datetime": pickup,
        "PULocationID": draw.choice([*zones, 0], TRIPS),
        "DOLocationID": draw.choice(zones, TRIPS),
        "trip_distance": draw.uniform(0.1, 20, TRIPS).round(2),
    }
    if ended:
        trips[f"{prefix}_dropoff_datetime"] = pickup + pd.to_timedelta(draw.integers(0, 4000, TRIPS), "s")
    pd.DataFrame(trips).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory, onnx_folder, other_onnx_folder):
    """Version 10 scored all months, version 9 also March's green trips; April's have not ended yet."""
    folder = tmp_path_factory.mktemp("months")
    pointers = {}
    for version, model in {"9": onnx_folder, "10": other_onnx_folder}.items():
        released = Release(
            name="m",
            version=version,
            run_id=f"run{version}",
            location=str(model),
            files=build_manifest(str(model)),
        )
        pointers[version] = folder / f"{version}.json"
        pointers[version].write_bytes(encode_release(released))
    march = write_trips(folder / "green_2021-03.parquet", 3)
    for path, version in [
        (march, "10"),
        (march, "9"),
        (write_trips(folder / "green_2021-02.parquet", 2), "10"),
        (write_trips(folder / "yellow_2021-03.parquet", 3, "tpep"), "10"),
        (write_trips(folder / "green_2021-04.parquet", 4, ended=False), "10"),
    ]:
        words = ["--trips", path, "--output", folder / "out", "--model", pointers[version]]
        result = CliRunner().invoke(score, [str(word) for word in words])
        assert result.exit_code == 0, result.output
    return folder / "out"


@pytest.fixture(scope="module")
def predictions(folder):
    """The rows of the files, read without the database."""
    found = []
    for path in folder.glob("taxi_type=*/year=*/month=*/*.parquet"):
        taxi_type, year, month = (part.partition("=")[2] for part in path.parts[-4:-1])
        frame = pd.read_parquet(path, partitioning=None)
        frame.columns = frame.columns.str.replace("^[lt]pep_", "", regex=True)
        found.append(frame.assign(taxi_type=taxi_type, year=int(year), month=int(month)))
    assert len(found) == 5
    all_of_them = pd.concat(found, ignore_index=True)
    for end, column in {"pickup": "PULocationID", "dropoff": "DOLocationID"}.items():
        all_of_them[f"{end}_zone"] = [ZONES[zone].name for zone in all_of_them[column]]
        all_of_them[f"{end}_borough"] = [ZONES[zone].borough for zone in all_of_them[column]]
    return all_of_them


@pytest.fixture(scope="module")
def rides(predictions):
    return predictions[predictions.model_version == "10"]


def query(sql, folder, *arguments):
    return CliRunner(env={"PREDICTIONS": str(folder)}).invoke(command, [sql, *arguments])


@pytest.fixture
def ask(folder):
    """Runs a documented query; returns its rows as text."""

    def ask(beginning):
        (sql,) = [sql for question, sql in QUERIES if question.startswith(beginning)]
        result = query(sql, folder, "--csv")
        assert result.exit_code == 0, result.output
        return list(csv.DictReader(io.StringIO(result.output)))

    return ask


def test_where_most_rides_begin(ask, rides):
    answer = ask("Where do most rides begin")
    by_zone = rides.groupby(["pickup_zone", "pickup_borough"]).predicted_duration.agg(["size", "mean"])
    expected = by_zone.reset_index().sort_values(["size", "pickup_zone"], ascending=[False, True])[:10]
    assert len(answer) == 10
    assert [row["pickup_zone"] for row in answer] == list(expected.pickup_zone)
    assert [row["pickup_borough"] for row in answer] == list(expected.pickup_borough)
    assert [int(row["trips"]) for row in answer] == list(expected["size"])
    assert [float(row["minutes"]) for row in answer] == pytest.approx(list(expected["mean"]), abs=0.051)


def test_who_is_worth_an_offer(ask, rides):
    answer = ask("Which rides will take longer")
    march = rides[(rides.taxi_type == "green") & (rides.month == 3) & (rides.predicted_duration > 45)]
    expected = march.sort_values(["predicted_duration", "ride_id"], ascending=[False, True])[:100]
    assert len(answer) > 10
    assert [row["ride_id"] for row in answer] == list(expected.ride_id)
    assert [row["pickup_datetime"] for row in answer] == list(expected.pickup_datetime.astype(str))
    assert [row["dropoff_zone"] for row in answer] == list(expected.dropoff_zone)


def test_when_people_leave_for_an_airport(ask, rides):
    answer = ask("When do people leave")
    to_airports = rides[rides.DOLocationID.isin(AIRPORTS)]
    by_hour = to_airports.groupby(to_airports.pickup_datetime.dt.hour).predicted_duration.agg(
        ["size", "mean"]
    )
    assert len(answer) > 20
    assert [int(row["hour"]) for row in answer] == list(by_hour.index)
    assert [int(row["trips"]) for row in answer] == list(by_hour["size"])
    assert [float(row["minutes"]) for row in answer] == pytest.approx(list(by_hour["mean"]), abs=0.051)


def test_rejected_rides(ask, rides):
    answer = ask("What could not be predicted")
    counted = {}
    for row in answer:
        month = row["taxi_type"], int(row["year"]), int(row["month"])
        counted[month] = counted.get(month, 0) + int(row["trips"])
    predicted = rides.groupby(["taxi_type", "year", "month"]).size()
    assert {month: TRIPS - counted[month] for month in counted} == predicted.to_dict()
    reasons = {row["reason"] for row in answer if row["taxi_type"] == "yellow"}
    assert reasons == {"shorter than 1 minute", "longer than 60 minutes", "zone missing or not 1 to 265"}
    assert {row["reason"] for row in answer if row["month"] == "4"} == {"zone missing or not 1 to 265"}


def test_where_the_model_is_most_wrong(ask, rides):
    answer = ask("Where is the model most wrong")
    by_borough = rides[rides["diff"].notna()].groupby("pickup_borough")["diff"]
    rmse = by_borough.apply(lambda diff: (diff**2).mean() ** 0.5).sort_values(ascending=False)
    names = list(rmse.index)
    assert [row["pickup_borough"] for row in answer] == names
    assert {"EWR", "Queens", "Bronx", "Unknown"} < set(names)
    assert [int(row["trips"]) for row in answer] == list(by_borough.size()[names])
    assert [float(row["rmse"]) for row in answer] == pytest.approx(list(rmse), abs=0.0051)
    assert [float(row["bias"]) for row in answer] == pytest.approx(list(by_borough.mean()[names]), abs=0.0051)


def test_whether_the_new_version_is_better(ask, predictions):
    (answer,) = ask("Is the new version better")
    older = predictions[predictions.model_version == "9"]
    newer = predictions.query("model_version == '10' and taxi_type == 'green' and month == 3")
    assert int(answer["trips"]) == len(older) == len(newer)
    assert float(answer["longer"]) == pytest.approx(5, abs=0.01)
    for frame, name in [(older, "rmse_before"), (newer, "rmse_now")]:
        assert float(answer[name]) == pytest.approx((frame["diff"] ** 2).mean() ** 0.5, abs=0.0051)


def test_all_documented_queries_are_tested():
    assert len(QUERIES) == DOCUMENT.count("```sql") == 6


def test_every_view_is_described_in_help_and_document():
    output = " ".join(query("--help", "").output.split())
    for name, description in VIEWS.items():
        assert f"{name} {description}" in output
        assert f"\n| `{name}` | " in DOCUMENT


def test_a_table_shows_nulls_and_the_number_of_rows(folder):
    result = query("select 'a [b]' as x, NULL as y, 1.5 as z", folder)
    *_, header, _rule, row, _blank, count = result.output.splitlines()
    assert header.split() == ["x", "y", "z"]
    assert row.split() == ["a", "[b]", "NULL", "1.5"]
    assert count == "1 row"


def test_a_long_result_is_cut_and_names_the_option_for_all(folder, rides):
    shown = query("from rides", folder).output
    assert shown.count("2021/0") == MAX_ROWS
    assert shown.endswith("the first 50 rows; --csv prints all\n")
    assert len(query("from rides", folder, "--csv").output.splitlines()) == 1 + len(rides)
    assert query(f"select unnest(range({MAX_ROWS}))", folder).output.endswith("\n50 rows\n")


def test_null_is_empty_in_csv(folder):
    assert query("select 1 as a, NULL as b, 'x, y' as c", folder, "--csv").output == 'a,b,c\n1,,"x, y"\n'


@pytest.mark.parametrize(
    ("sql", "folder", "code", "message"),
    [
        ("from rides", "", 2, "Missing option '--predictions' (env var: 'PREDICTIONS')"),
        ("from rides", "nowhere", 1, "nowhere holds no predictions as taxi_type=…/year=…/month=…/"),
    ],
)
def test_without_predictions_it_is_an_error(sql, folder, code, message):
    result = query(sql, folder)
    assert result.exit_code == code
    assert message in result.output


def test_a_wrong_query_is_an_error(folder):
    result = query("select pickup_zon from rides", folder)
    assert result.exit_code == 1
    assert "pickup_zone" in result.output
    assert "Traceback" not in result.output


def test_a_query_is_read_from_standard_input(folder: Path) -> None:
    sql = "-- how many?\nselect count(*) as trips from zones"
    result = CliRunner().invoke(command, ["--csv", f"--predictions={folder}", "-"], input=sql)
    assert result.output == "trips\n265\n"
