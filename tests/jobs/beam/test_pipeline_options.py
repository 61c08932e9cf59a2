"""Beam's options are parsed and validated without calling Google or gcloud."""

import os
import socket
import subprocess
from typing import Any

import pytest
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

from jobs.beam.pipeline_options import InvalidPipelineOptions, find_runner, parse_options, runs_locally

GOOD = {
    "runner": "DataflowRunner",
    "project": "my-project",
    "region": "us-east1",
    "temp_location": "gs://my-bucket/temp",
    "sdk_container_image": "us-docker.pkg.dev/my-project/ridecast/beam:1",
}


@pytest.fixture(autouse=True)
def _no_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("called an external service")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)


def parse(streaming: bool = False, **changes: str | None) -> PipelineOptions:
    arguments = [f"--{name}={value}" for name, value in (GOOD | changes).items() if value is not None]
    return parse_options(arguments, streaming=streaming)


@pytest.mark.parametrize("streaming", [False, True])
def test_complete_options_select_dataflow(streaming: bool) -> None:
    options = parse(streaming)
    assert not runs_locally(options)
    assert isinstance(find_runner(options), DataflowRunner)
    assert options.view_as(StandardOptions).streaming is streaming


@pytest.mark.parametrize("name", ["project", "region", "temp_location", "sdk_container_image"])
def test_a_missing_option_is_named(name: str) -> None:
    with pytest.raises(InvalidPipelineOptions, match=f"--{name} is missing: ") as error:
        parse(**{name: None})
    assert str(error.value).count("missing") == 1


def test_all_missing_options_are_named_at_once() -> None:
    with pytest.raises(InvalidPipelineOptions) as error:
        parse_options(["--runner=dataflow"])
    assert str(error.value).count("is missing") == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("project", "My Project"),
        ("project", "12345"),
        ("temp_location", "/tmp/here"),
        ("temp_location", "gs://my-bucket"),
        ("temp_location", "gs://My_Bucket!/x"),
        ("staging_location", "s3://bucket/x"),
        ("job_name", "Nightly!"),
        ("num_workers", "0"),
        ("dataflow_endpoint", "nowhere"),
    ],
)
def test_an_invalid_value_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidPipelineOptions, match=r"Dataflow cannot run this:\n.*[Ii]nvalid.*"):
        parse(**{name: value})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--direct_num_wrkers=2"], "neither this command nor Beam has an option --direct_num_wrkers=2"),
        (["march.parquet"], "has an option march.parquet"),
        (["--direct_num_workers=two"], "invalid int value: 'two'"),
        (["--direct_running_mode=somehow"], "invalid choice"),
        (["--runner=Nope"], "--runner: Unexpected pipeline runner: Nope"),
        (["--runner=no.such.Runner"], "--runner: No module named 'no'"),
    ],
)
def test_unknown_options_are_rejected(arguments: list[str], message: str) -> None:
    with pytest.raises(InvalidPipelineOptions, match=message):
        parse_options(arguments)


@pytest.mark.parametrize("arguments", [[], ["--runner=DirectRunner"], ["--runner=direct"]])
def test_all_cores_are_used_in_processes(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    options = parse_options(arguments)
    direct = options.view_as(DirectOptions)
    assert runs_locally(options)
    assert (direct.direct_num_workers, direct.direct_running_mode) == (3, "multi_processing")


@pytest.mark.parametrize(
    ("arguments", "workers", "mode"),
    [
        (["--direct_num_workers=1"], 1, "in_memory"),
        (["--direct_num_workers", "2"], 2, "multi_processing"),
        (["--direct_running_mode=multi_threading", "--direct_num_workers=2"], 2, "multi_threading"),
    ],
)
def test_explicit_worker_options_are_kept(arguments: list[str], workers: int, mode: str) -> None:
    direct = parse_options(arguments).view_as(DirectOptions)
    assert (direct.direct_num_workers, direct.direct_running_mode) == (workers, mode)
