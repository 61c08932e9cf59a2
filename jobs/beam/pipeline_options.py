"""Beam's own options: what runs the pipeline, and whether it can, before anything is started."""

import argparse
import contextlib
import io
import os
import shlex
import sys
from collections.abc import Sequence

from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    TestOptions,
    WorkerOptions,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner, create_runner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from functions.errors import RidecastError

HERE = {"direct", "switchingdirect", "fnapi", "bundlebaseddirect"}
"""Names of what runs a pipeline on this machine alone, as Beam reads them."""
PROCESSES = "multi_processing"
_NEEDED = {
    "project": "the Google Cloud project that pays for the job",
    "region": "where its machines are, such as us-east1",
    "temp_location": "gs://BUCKET/FOLDER, for Dataflow's own files",
    "sdk_container_image": "an image with Ridecast and its libraries, made by `docker build --target beam`",
}
"""Options without which Dataflow cannot run a job, or Beam would go and ask Google for them."""


class WrongOptions(RidecastError):
    """Beam's options cannot be; all that is wrong with them is named at once."""


def parse_options(words: Sequence[str], *, streaming: bool = False) -> PipelineOptions:
    """Beam's options from a command line, whole for the runner that they name.

    On this machine all cores work, each with a process, unless the options say otherwise. Nobody is asked:
    neither Google nor gcloud.

    Raises:
        WrongOptions: one of them is not Beam's, has no value that Beam takes, or is missing.
    """
    _refuse_unknown(words)
    options = PipelineOptions(list(words), streaming=streaming)
    standard = options.view_as(StandardOptions)
    if runs_here(options):
        # The one named DirectRunner first looks for Prism, which it would download.
        standard.runner = "FnApiRunner"
        _use_all_cores(options.view_as(DirectOptions), words)
    elif isinstance(runner_of(options), DataflowRunner):
        _validate_for_dataflow(PipelineOptions(list(words), streaming=streaming))
    return options


def runs_here(options: PipelineOptions) -> bool:
    """Whether the pipeline runs on this machine alone."""
    name = options.view_as(StandardOptions).runner or StandardOptions.DEFAULT_RUNNER
    return name.lower().removesuffix("runner") in HERE


def runner_of(options: PipelineOptions) -> PipelineRunner:
    """The runner that the options name.

    Raises:
        WrongOptions: there is none of this name.
    """
    try:
        return create_runner(options.view_as(StandardOptions).runner)
    except (ValueError, ImportError, AttributeError) as error:
        raise WrongOptions(f"--runner: {error}") from error


def runner_here(options: PipelineOptions, leash: str, grace_seconds: float) -> PipelineRunner:
    """A runner of this machine alone, whose workers' processes end with the leash."""
    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode != PROCESSES:
        return FnApiRunner()
    direct.direct_running_mode = "in_memory"  # the runner would start Beam's own processes instead
    words = [sys.executable, "-m", "jobs.beam.worker", leash, str(grace_seconds)]
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(f"exec {shlex.join(words)}"))


def _refuse_unknown(words: Sequence[str]) -> None:
    """Beam itself passes over a misspelt option."""
    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            _, unknown = parsers[0].parse_known_args(list(words))
    except SystemExit as error:
        raise WrongOptions(said.getvalue().strip().rpartition("error: ")[2]) from error
    if unknown:
        raise WrongOptions(f"neither this command nor Beam has an option {' '.join(unknown)}")


def _use_all_cores(direct: DirectOptions, words: Sequence[str]) -> None:
    given = " ".join(words)
    if "--direct_num_workers" not in given:
        direct.direct_num_workers = os.cpu_count() or 1
    if "--direct_running_mode" not in given:
        direct.direct_running_mode = PROCESSES if direct.direct_num_workers != 1 else "in_memory"


def _validate_for_dataflow(options: PipelineOptions) -> None:
    """As DataflowRunner does, but for what it would first ask Google for.

    Args:
        options: of which nothing else is done.
    """
    runner = runner_of(options)
    cloud, worker = options.view_as(GoogleCloudOptions), options.view_as(WorkerOptions)
    given = {name: getattr(cloud, name, None) or getattr(worker, name, None) for name in _NEEDED}
    problems = [f"--{name} is missing: {what}" for name, what in _NEEDED.items() if not given[name]]
    options.view_as(TestOptions).dry_run = True  # otherwise buckets are looked at
    cloud.project = cloud.project or "not-given"
    cloud.region = cloud.region or "not-given"
    validator = PipelineOptionsValidator(options, runner)
    for name in ("temp_location", "staging_location"):
        if getattr(cloud, name):
            problems += validator.validate_gcs_path(cloud, name)
        setattr(cloud, name, "gs://not-given/not-given")
    problems += validator.validate()
    if problems:
        raise WrongOptions("Dataflow cannot run this:\n" + "\n".join(problems))
