"""Beam's options are read and judged without a cloud: no call of Google, none of gcloud."""

import os
import socket
import subprocess
from typing import Any

import pytest
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

from jobs.beam.pipeline_options import WrongOptions, parse_options, runner_of, runs_here

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
        raise AssertionError("asked somebody")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)


def parse(streaming: bool = False, **changes: str | None) -> PipelineOptions:
    words = [f"--{name}={value}" for name, value in (GOOD | changes).items() if value is not None]
    return parse_options(words, streaming=streaming)


@pytest.mark.parametrize("streaming", [False, True])
def test_whole_options_are_dataflows(streaming: bool) -> None:
    options = parse(streaming)
    assert not runs_here(options)
    assert isinstance(runner_of(options), DataflowRunner)
    assert options.view_as(StandardOptions).streaming is streaming


@pytest.mark.parametrize("name", ["project", "region", "temp_location", "sdk_container_image"])
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(WrongOptions, match=f"--{name} is missing: ") as said:
        parse(**{name: None})
    assert str(said.value).count("missing") == 1


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(WrongOptions) as said:
        parse_options(["--runner=dataflow"])
    assert str(said.value).count("is missing") == 4


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
def test_a_value_that_cannot_be_is_named(name: str, value: str) -> None:
    with pytest.raises(WrongOptions, match=r"Dataflow cannot run this:\n.*[Ii]nvalid.*"):
        parse(**{name: value})


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--direct_num_wrkers=2"], "neither this command nor Beam has an option --direct_num_wrkers=2"),
        (["march.parquet"], "has an option march.parquet"),
        (["--direct_num_workers=two"], "invalid int value: 'two'"),
        (["--direct_running_mode=somehow"], "invalid choice"),
        (["--runner=Nope"], "--runner: Unexpected pipeline runner: Nope"),
        (["--runner=no.such.Runner"], "--runner: No module named 'no'"),
    ],
)
def test_what_is_none_of_beams_options_is_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(WrongOptions, match=sentence):
        parse_options(words)


@pytest.mark.parametrize("words", [[], ["--runner=DirectRunner"], ["--runner=direct"]])
def test_this_machine_uses_all_cores_in_processes(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    options = parse_options(words)
    direct = options.view_as(DirectOptions)
    assert runs_here(options)
    assert (direct.direct_num_workers, direct.direct_running_mode) == (3, "multi_processing")


@pytest.mark.parametrize(
    ("words", "workers", "mode"),
    [
        (["--direct_num_workers=1"], 1, "in_memory"),
        (["--direct_num_workers", "2"], 2, "multi_processing"),
        (["--direct_running_mode=multi_threading", "--direct_num_workers=2"], 2, "multi_threading"),
    ],
)
def test_what_is_said_of_workers_holds(words: list[str], workers: int, mode: str) -> None:
    direct = parse_options(words).view_as(DirectOptions)
    assert (direct.direct_num_workers, direct.direct_running_mode) == (workers, mode)
