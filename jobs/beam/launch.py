"""Checks, starts and awaits a pipeline."""

import io
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from typing import NamedTuple

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, TestOptions
from apache_beam.runners.runner import PipelineResult
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError

from functions.errors import RidecastError
from functions.model import Model, load_model, load_table_model
from functions.settings import FunctionSettings
from jobs.beam.batch import Shard, WriteShards, build_batch_pipeline, split_into_shards
from jobs.beam.handler import StreamTopics
from jobs.beam.pipeline_options import InvalidPipelineOptions, find_runner, local_runner, runs_locally
from jobs.beam.shards import staging_dir
from jobs.beam.streaming import build_dataflow_pipeline, build_local_pipeline
from jobs.beam.watchdog import watchdog
from jobs.beam.worker_model import find_current_release
from jobs.registry.release_pointer import artifact_server, find_release
from jobs.scoring.job import ScoringRequest
from jobs.scoring.layout import OutputFiles, is_single_file
from jobs.storage.errors import FileAccessError

STREAM_GRACE_SECONDS = 10.0
"""Time for a worker to finish the events that it has pulled."""
_OWN_ERROR = re.compile(r"^(?:functions|jobs)\.[\w.]+: (.+?)(?: \[while running [^\n]*)?$", re.MULTILINE)


class PipelineFailed(RidecastError):
    """A pipeline failed; the text is the error of a worker."""


class BatchResult(NamedTuple):
    """The result of a batch run."""

    model: Model
    outputs: list[tuple[OutputFiles, int]]
    """Each output with its number of shards."""
    counts: Counter[str]
    """Beam's counters, as `jobs.beam.batch` names them; empty for a dry run."""
    seconds: float


def run_batch(requests: Sequence[ScoringRequest], options: PipelineOptions) -> BatchResult:
    """Scores files of requests with one output and one model. A failure leaves existing outputs unchanged.

    Raises:
        FileAccessError: a file cannot be read, or an output cannot be written.
        ModelUnavailable: the model cannot be found or loaded, or it failed.
        InvalidPipelineOptions: the runner cannot access an input, the output or the model.
        PipelineFailed: see there.
    """
    began = time.monotonic()
    release, allow_pickle = find_release(requests[0].model), requests[0].allow_pickle
    model = load_table_model(release, allow_pickle=allow_pickle, server=artifact_server(release))
    output = requests[0].output
    if is_single_file(output):
        raise FileAccessError(
            f"{output} is a single file, but each worker writes its own files: give a folder"
        )
    if not runs_locally(options):
        _refuse_local([output, model.release.location, *(request.input for request in requests)])
    with staging_dir(output, detached=not runs_locally(options)) as staging:
        distinct = dict.fromkeys(requests)  # two patterns may match the same file
        shards = [shard for request in distinct for shard in split_into_shards(request, model, staging)]
        _refuse_overwriting(shards)
        with _pipeline(options, 0.0) as (pipeline, _):
            build_batch_pipeline(pipeline, shards, model.release, allow_pickle)
            result = _finish(pipeline)
    outputs = Counter(shard.output for shard in shards)
    return BatchResult(model, list(outputs.items()), _counts(result, options), time.monotonic() - began)


def run_streaming(topics: StreamTopics, settings: FunctionSettings, options: PipelineOptions) -> None:
    """Predicts ride events until it is stopped. No event is lost if it fails.

    Raises:
        ModelUnavailable: no model can be loaded at the start.
        InvalidPipelineOptions: the runner cannot access the model, or the job would contain a secret.
        PipelineFailed: see there.
    """
    release = find_current_release(settings)
    model = load_model(release, allow_pickle=settings.allow_pickle, server=settings.tracking)
    local = runs_locally(options)
    if not local:
        _refuse_local([model.release.location])
        if settings.tracking.authorization:
            raise InvalidPipelineOptions(
                "the Dataflow job would expose the credentials of MLFLOW_TRACKING_URI: unset them, and use a "
                "release pointer"
            )
    with suppress(KeyboardInterrupt), _pipeline(options, STREAM_GRACE_SECONDS) as (pipeline, lock_path):
        if local:
            workers = options.view_as(DirectOptions).direct_num_workers or os.cpu_count() or 1
            build_local_pipeline(pipeline, topics, settings, lock_path, workers)
        else:
            try:
                build_dataflow_pipeline(pipeline, topics, settings)
            except ValueError as error:  # raised by Beam for invalid names
                raise InvalidPipelineOptions(str(error)) from error
        _finish(pipeline)


@contextmanager
def _pipeline(options: PipelineOptions, grace_seconds: float) -> Iterator[tuple[beam.Pipeline, str]]:
    """Yields a pipeline for the runner that the options name, and the watchdog's lock path if it is local."""
    local = runs_locally(options)
    # On this machine, _finish reports errors; for a Dataflow job, Beam logs where it can be watched.
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL if local else logging.INFO)
    try:
        if local:
            with watchdog(grace_seconds) as lock_path, redirect_stderr(io.StringIO()):
                yield beam.Pipeline(local_runner(options, lock_path, grace_seconds), options), lock_path
        else:
            yield beam.Pipeline(find_runner(options), options), ""
    finally:
        root.setLevel(level)


def _refuse_local(uris: Sequence[str]) -> None:
    """Rejects paths on this machine, which the runner's machines cannot access."""
    if local := [uri for uri in uris if not uri.startswith("gs://")]:
        raise InvalidPipelineOptions(
            f"the runner's machines cannot access {', '.join(local)}: give gs://BUCKET/…"
        )


def _finish(pipeline: beam.Pipeline) -> PipelineResult:
    """Runs the pipeline; raises a worker's RidecastError as PipelineFailed, and any other error unchanged."""
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except Exception as error:
        if isinstance(error, GoogleAPIError | GoogleAuthError):
            raise PipelineFailed(f"Google Cloud rejected the job: {error}") from error
        # The error itself, or the end of a worker's traceback, may be one of ours.
        kind = type(error)
        if match := _OWN_ERROR.search(f"{kind.__module__}.{kind.__qualname__}: {error}"):
            raise PipelineFailed(match[1]) from error
        raise
    return result


def _refuse_overwriting(shards: Sequence[Shard]) -> None:
    files: dict[str, str] = {}
    for shard in shards:
        trips = files.setdefault(shard.output.predictions, shard.request.input)
        if trips != shard.request.input:
            raise FileAccessError(
                f"{trips} and {shard.request.input} have the same month and taxi type, so that their "
                "predictions would replace each other: give one of them, their folder if they are parts of "
                "one month, or each a run with its own --output"
            )


def _counts(result: PipelineResult, options: PipelineOptions) -> Counter[str]:
    if options.view_as(TestOptions).dry_run:
        return Counter()
    found = result.metrics().query(MetricsFilter().with_namespace(WriteShards))["counters"]
    return Counter({metric.key.metric.name: metric.result for metric in found})
