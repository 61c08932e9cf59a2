"""Validates Beam's own options and selects the runner, before anything is started."""

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

LOCAL_RUNNERS = {"direct", "switchingdirect", "fnapi", "bundlebaseddirect"}
"""Beam's names of runners on this machine, in lower case and without the suffix."""
MULTI_PROCESSING = "multi_processing"
_REQUIRED = {
    "project": "the Google Cloud project that pays for the job",
    "region": "the region of its machines, such as us-east1",
    "temp_location": "gs://BUCKET/FOLDER for Dataflow's own files",
    "sdk_container_image": "an image of Ridecast, built by `docker build --target beam`",
}
"""Options that Dataflow needs, or that Beam would otherwise look up at Google."""


class InvalidPipelineOptions(RidecastError):
    """Beam's options are not valid; the text names all problems at once."""


def parse_options(arguments: Sequence[str], *, streaming: bool = False) -> PipelineOptions:
    """Parses Beam's options, and completes and validates them for the runner that they name.

    On this machine, all cores are used, each by a process, unless the options say otherwise. Neither Google
    nor gcloud is called. Raises InvalidPipelineOptions for unknown, invalid and missing options.
    """
    _refuse_unknown(arguments)
    options = PipelineOptions(list(arguments), streaming=streaming)
    standard = options.view_as(StandardOptions)
    if runs_locally(options):
        # DirectRunner would first look for Prism, and download it.
        standard.runner = "FnApiRunner"
        _use_all_cores(options.view_as(DirectOptions), arguments)
    elif isinstance(find_runner(options), DataflowRunner):
        _validate_for_dataflow(PipelineOptions(list(arguments), streaming=streaming))
    return options


def runs_locally(options: PipelineOptions) -> bool:
    """Whether the pipeline runs on this machine."""
    name = options.view_as(StandardOptions).runner or StandardOptions.DEFAULT_RUNNER
    return name.lower().removesuffix("runner") in LOCAL_RUNNERS


def find_runner(options: PipelineOptions) -> PipelineRunner:
    """The runner that the options name; raises InvalidPipelineOptions if there is none of this name."""
    try:
        return create_runner(options.view_as(StandardOptions).runner)
    except (ValueError, ImportError, AttributeError) as error:
        raise InvalidPipelineOptions(f"--runner: {error}") from error


def local_runner(options: PipelineOptions, lock_path: str, grace_seconds: float) -> PipelineRunner:
    """A runner on this machine, whose worker processes end when the watchdog's lock is released."""
    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode != MULTI_PROCESSING:
        return FnApiRunner()
    direct.direct_running_mode = "in_memory"  # otherwise the runner would start Beam's own processes
    arguments = [sys.executable, "-m", "jobs.beam.worker", lock_path, str(grace_seconds)]
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(f"exec {shlex.join(arguments)}"))


def _refuse_unknown(arguments: Sequence[str]) -> None:
    """Rejects misspelt options, which Beam itself ignores."""
    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            _, unknown = parsers[0].parse_known_args(list(arguments))
    except SystemExit as error:
        raise InvalidPipelineOptions(stderr.getvalue().strip().rpartition("error: ")[2]) from error
    if unknown:
        raise InvalidPipelineOptions(f"neither this command nor Beam has an option {' '.join(unknown)}")


def _use_all_cores(direct: DirectOptions, arguments: Sequence[str]) -> None:
    given = " ".join(arguments)
    if "--direct_num_workers" not in given:
        direct.direct_num_workers = os.cpu_count() or 1
    if "--direct_running_mode" not in given:
        direct.direct_running_mode = MULTI_PROCESSING if direct.direct_num_workers != 1 else "in_memory"


def _validate_for_dataflow(options: PipelineOptions) -> None:
    """Validates as DataflowRunner does, but without its calls to Google; modifies the options."""
    runner = find_runner(options)
    cloud, worker = options.view_as(GoogleCloudOptions), options.view_as(WorkerOptions)
    given = {name: getattr(cloud, name, None) or getattr(worker, name, None) for name in _REQUIRED}
    problems = [f"--{name} is missing: {meaning}" for name, meaning in _REQUIRED.items() if not given[name]]
    options.view_as(TestOptions).dry_run = True  # otherwise buckets are accessed
    cloud.project = cloud.project or "not-given"
    cloud.region = cloud.region or "not-given"
    validator = PipelineOptionsValidator(options, runner)
    for name in ("temp_location", "staging_location"):
        if getattr(cloud, name):
            problems += validator.validate_gcs_path(cloud, name)
        setattr(cloud, name, "gs://not-given/not-given")
    problems += validator.validate()
    if problems:
        raise InvalidPipelineOptions("Dataflow cannot run this:\n" + "\n".join(problems))
