"""infra/ and the code agree."""

import json
import re
from datetime import date
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from functions.releases import Release
from functions.rides import RIDE_FIELDS
from jobs.commands.score import command as score
from jobs.commands.sync import command as sync
from jobs.events.smoke_test import SMOKE_PREFIX
from jobs.scoring.layout import output_files
from jobs.settings import Settings
from jobs.trips.download import TLC_URL
from jobs.trips.synthetic import write_month
from tests.infra.module import AppliedState, strings

RELEASE = Release(name="ride-duration", version="1", location="gs://b/m")
BIGQUERY = {
    pa.string(): "STRING",
    pa.timestamp("us"): "DATETIME",  # without a zone, as New York's clock
    pa.int32(): "INTEGER",
    pa.float64(): "FLOAT",
}


def test_functions_follow_the_pointer_that_jobs_write(state: AppliedState) -> None:
    jobs = Settings("", "gs://ridecast-test-models")
    for name, function in state.of("google_cloudfunctions2_function").items():
        variables = function["service_config"][0]["environment_variables"]
        assert variables["MODEL_URI"] == jobs.pointer(name.partition("-predict")[0])
        assert variables["MODEL_URI"].startswith(f"gs://{variables['MODEL_BUCKETS']}/")
    (condition,) = state.of("google_storage_bucket_iam_member", "sync")[""]["condition"]
    allowed = re.fullmatch(r'resource\.name\.startsWith\("projects/_/(.+)"\)', condition["expression"])
    assert allowed
    written = "buckets/ridecast-test-models/objects/" + jobs.pointer("m").removeprefix(
        "gs://ridecast-test-models/"
    )
    assert written.startswith(allowed[1])


@pytest.mark.parametrize("model", ["ride-duration", "ride-fare"])
def test_jobs_use_existing_commands_and_options(state: AppliedState, model: str) -> None:
    started = {
        name: job["template"][0]["template"][0]["containers"][0]
        for name, job in state.of("google_cloud_run_v2_job").items()
    }
    for name, container in started.items():
        command, *args = container["args"]
        parser: click.Command = {"score": score, "sync": sync}[command]
        params = parser.make_context(command, list(args)).params
        if command == "score":
            assert params["model"] == "gs://ridecast-test-models/releases/ride-duration/champion.json"
            assert params["taxi"] in name
            assert params["months_back"] >= 1
        # The mock provider makes up the server's address.
        address = state.outputs["mlflow_url"]
        variables = {
            each["name"]: each["value"].replace(address, "https://mlflow.example.com")
            for each in container["env"]
        }
        assert set(variables) == ({"MODEL_BUCKET", "MLFLOW_TRACKING_URI"} if command == "sync" else set())
        if variables:
            Settings.read(variables)
    assert started[f"sync-{model}"]["args"] == ["sync", "--name", model]


@pytest.mark.parametrize("taxi", ["green", "yellow"])
def test_bigquery_reads_the_columns_that_score_writes(
    state: AppliedState, tmp_path: Path, onnx_folder: Path, taxi: str
) -> None:
    trips = tmp_path / f"{taxi}_2021-03.parquet"
    write_month(date(2021, 3, 1), trips, 300)
    table = pq.read_table(trips)
    if taxi == "yellow":
        pq.write_table(
            table.rename_columns([re.sub("^lpep", "tpep", name) for name in table.column_names]), trips
        )
    output = tmp_path / "predictions"
    score(
        ["--trips", str(trips), "--output", str(output), "--model", str(onnx_folder)], standalone_mode=False
    )
    (file,) = output.glob("taxi_type=*/**/*.parquet")
    written = {field.name: BIGQUERY[field.type] for field in pq.read_schema(file)}
    scores = state.of("google_bigquery_table", "scores")["ride-duration"]
    read = {column["name"]: column["type"] for column in json.loads(scores["schema"])}
    (external,) = scores["external_data_configuration"]
    assert external["connection_id"], "without it, Terraform's provider accepts no columns for Parquet"
    other = {"green": "tpep_pickup_datetime", "yellow": "lpep_pickup_datetime"}[taxi]
    assert written == {name: kind for name, kind in read.items() if name != other}
    assert list(written) == [name for name in read if name != other], "in this order"


def test_the_monthly_job_looks_where_tlc_publishes() -> None:
    (uri,) = re.findall(r'default += "(https://\S+)"', Path("infra/variables.tf").read_text())
    assert uri == TLC_URL + "{taxi_type}_tripdata_{year:04d}-{month:02d}.parquet"


def test_bigquery_reads_predictions_and_nothing_else(state: AppliedState) -> None:
    external = state.of("google_bigquery_table", "scores")["ride-duration"]["external_data_configuration"][0]
    job = state.of("google_cloud_run_v2_job")["score-ride-duration-green"]["template"][0]["template"][0]
    args = job["containers"][0]["args"]
    output = args[args.index("--output") + 1]
    found = output_files(output, ("taxi_type=green", "year=2021", "month=03"), RELEASE)
    prefix = external["source_uris"][0].removesuffix("*")
    assert found.predictions.startswith(prefix)
    assert not found.rejected.startswith(prefix)
    assert not output_files(output, ("input=customers",), RELEASE).predictions.startswith(prefix)
    folders = found.predictions.removeprefix(f"{output}/").split("/")[:-1]
    hive_prefix = external["hive_partitioning_options"][0]["source_uri_prefix"].removeprefix(f"{output}/")
    assert [re.sub(r"=.*", "", each) for each in folders] == re.findall(r"{(\w+):\w+}", hive_prefix)


def test_the_remote_function_takes_what_the_function_reads(state: AppliedState) -> None:
    routine = state.of("google_bigquery_routine", "predict")["ride-duration"]
    assert tuple(each["name"] for each in routine["arguments"]) == RIDE_FIELDS
    assert routine["routine_id"] == "predict_duration"


def test_metrics_count_lines_that_the_functions_write(state: AppliedState) -> None:
    code = "\n".join(path.read_text() for path in Path("functions").glob("*.py"))
    for metric in state.of("google_logging_metric").values():
        messages = re.findall(r'jsonPayload\.message[:=]"([^"]+)"', metric["filter"])
        assert messages
        assert all(f'"{message}"' in code for message in messages), metric["filter"]
        named = {*metric["label_extractors"].values(), *re.findall(r"jsonPayload\.(\w+)", metric["filter"])}
        fields = {re.sub(r"EXTRACT\(jsonPayload\.(\w+)\)", r"\1", each) for each in named} - {"message"}
        assert not [field for field in fields if not re.search(rf'"{field}"|\b{field}=', code)]


def test_cloud_build_uses_existing_outputs_and_variables(state: AppliedState) -> None:
    build = Path("cloudbuild.yaml").read_text()
    assert not set(re.findall(r"output -raw (\w+)", build)) - set(state.outputs)
    document = yaml.safe_load(build)
    variables = Path("infra/variables.tf").read_text()
    names = re.findall(r'-var="(\w+)=', build)
    assert names
    assert not [name for name in names if f'variable "{name}"' not in variables]
    for trigger in state.of("google_cloudbuild_trigger").values():
        assert set(trigger["substitutions"]) <= set(document["substitutions"])
    (pattern,) = set(re.findall(r'metadata\.name ~ "(\S+?)"', build))
    services = {function["name"] for function in state.of("google_cloudfunctions2_function").values()}
    others = {each.values["name"] for each in state.all("google_cloud_run_v2_service")}
    assert all(re.search(pattern, name) for name in services)
    assert not [name for name in others if re.search(pattern, name)]


def test_the_smoke_test_receives_only_its_own_rides(state: AppliedState) -> None:
    subscription = state.of("google_pubsub_subscription", "pull")["predictions-smoke"]
    assert subscription["filter"] == f'hasPrefix(attributes.ride_id, "{SMOKE_PREFIX}")'


def test_no_output_is_empty(state: AppliedState) -> None:
    assert not [name for name, value in state.outputs.items() if not list(strings(value))]
    assert state.outputs["model_bucket"] == "ridecast-test-models"
    assert state.outputs["bigquery_dataset"] == "ridecast-test.ridecast"
    assert len(set(state.outputs["function_urls"].values())) == 4
