"""infra/sql: the view predictions_deduplicated, translated for DuckDB, keeps one prediction per event."""

import json
import re
from pathlib import Path

import duckdb
import pytest

from functions.event_handler import prediction_event
from functions.rides import Prediction, parse_ride_event
from tests.infra.module import INFRA, AppliedState

VIEWS = sorted((INFRA / "sql").glob("*.sql"))


def test_each_file_is_a_view_over_existing_tables(state: AppliedState) -> None:
    views = state.of("google_bigquery_table", "view")
    assert {Path(key).stem for key in views} == {path.stem for path in VIEWS}
    tables = set(state.of("google_bigquery_table", "stream"))
    for view in views.values():
        read = set(re.findall(r"`ridecast-test\.ridecast\.(\w+)`", view["view"][0]["query"]))
        assert read
        assert read <= tables, "a view over a view would need depends_on"


def test_a_duplicate_prediction_is_removed() -> None:
    sqlglot = pytest.importorskip("sqlglot", reason="translates BigQuery's SQL")
    sql = (INFRA / "sql" / "predictions_deduplicated.sql").read_text()
    sql = sql.replace("${project}", "p").replace("${dataset}", "d")
    (translated,) = sqlglot.transpile(sql, read="bigquery", write="duckdb")
    with duckdb.connect() as database:
        database.execute("attach ':memory:' as p; create schema p.d")
        database.execute(
            "create table p.d.predictions (publish_time timestamp, attributes json, data varchar)"
        )
        for second, ride_id, version in ((3, 256, "1"), (1, 256, "1"), (2, 256, "2"), (4, "a", "1")):
            data = {"ride": {"PULocationID": 1, "DOLocationID": 2, "trip_distance": 3}, "ride_id": ride_id}
            prediction = Prediction(21.5, "ride_duration", version)
            event = prediction_event(parse_ride_event(data), prediction, json.dumps(data).encode(), None)
            row = (f"2021-03-01 00:00:0{second}", json.dumps(event.attributes), event.data.decode())
            database.execute("insert into p.d.predictions values (?, ?, ?)", row)
        text = '{"prediction": {"ride_duration": "long"}}'
        database.execute("insert into p.d.predictions values ('2021-03-01', '{}', ?)", (text,))
        odd = ("2021-03-01 00:00:05", '{"ride_id": "odd", "event_id": "e"}', text)
        database.execute("insert into p.d.predictions values (?, ?, ?)", odd)
        columns = "ride_id, model, model_version, predicted_duration, second(publish_time)"
        rows = database.execute(f"select {columns} from ({translated}) order by all").fetchall()
    assert rows == [
        ("256", "ride_duration_prediction_model", "1", 21.5, 1),
        ("256", "ride_duration_prediction_model", "2", 21.5, 2),
        ("a", "ride_duration_prediction_model", "1", 21.5, 4),
        ("odd", None, None, None, 5),
    ]
