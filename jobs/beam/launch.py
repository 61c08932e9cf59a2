"""A pipeline as it was asked for: checked, started, and waited for."""

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
from functions.settings import Settings
from jobs.beam.batch import Shard, WriteShards, score_shards, shards_of
from jobs.beam.handler import Route
from jobs.beam.model_manager import find
from jobs.beam.pipeline_options import WrongOptions, runner_here, runner_of, runs_here
from jobs.beam.shards import waiting_place
from jobs.beam.streaming import answer_here, answer_on_dataflow
from jobs.beam.watchdog import leash
from jobs.registry.release_pointer import find_release
from jobs.scoring.job import Wish
from jobs.scoring.layout import Output, is_file, whole
from jobs.storage.files import FileAccessError, same

STREAM_GRACE = 10.0
"""Seconds for a worker to finish what it has pulled, when it is told to end."""
_OURS = re.compile(r"^(?:functions|jobs)\.[\w.]+: (.+?)(?: \[while running [^\n]*)?$", re.MULTILINE)


class PipelineFailed(RidecastError):
    """A pipeline ended before its work was done; the text is what a worker said."""


class Done(NamedTuple):
    """Files that were scored."""

    model: Model
    outputs: list[tuple[Output, int]]
    """Each with the number of its shards."""
    counts: Counter[str]
    """As `months` names them."""
    seconds: float


def score_months(wishes: Sequence[Wish], options: PipelineOptions) -> Done:
    """Scores files with one release of one model.

    Raises:
        FileAccessError: a file cannot be read, or an output not be written; what was there before stays.
        ModelUnavailable: there is no such model, or it failed.
        WrongOptions: the runner does not see what it is to read or write.
        PipelineFailed: see there; what was there before stays.
    """
    began = time.monotonic()
    model = load_table_model(find_release(wishes[0].model), allow_pickle=wishes[0].allow_pickle)
    output = wishes[0].output
    if is_file(output):
        raise FileAccessError(f"{output} is a file, and several machines write several: give a folder")
    if not runs_here(options):
        refuse_local([output, model.release.location, *(wish.trips for wish in wishes)])
    with waiting_place(output, detached=not runs_here(options)) as waiting:
        # A file that two patterns match is one file.
        shards = [shard for wish in dict.fromkeys(wishes) for shard in shards_of(wish, model, waiting)]
        _refuse_twice(shards)
        with _pipeline(options, 0.0) as (pipeline, _):
            score_shards(pipeline, shards, model.release, wishes[0].allow_pickle)
            result = _finish(pipeline)
    outputs = Counter(shard.output for shard in shards)
    return Done(model, list(outputs.items()), _counts(result, options), time.monotonic() - began)


def answer_events(route: Route, settings: Settings, options: PipelineOptions) -> None:
    """Answers ride events until it is told to end.

    Raises:
        ModelUnavailable: there is no model to begin with.
        WrongOptions: the runner does not see the model, or its machines would be told a secret.
        PipelineFailed: see there; no event is lost.
    """
    model = load_model(find(settings), allow_pickle=settings.allow_pickle)
    here = runs_here(options)
    if not here:
        refuse_local([model.release.location])
        if settings.tracking_token:
            raise WrongOptions(
                "MLFLOW_TRACKING_TOKEN would stand in the job for many to read: unset it, and give a pointer"
            )
    with suppress(KeyboardInterrupt), _pipeline(options, STREAM_GRACE) as (pipeline, hold):
        if here:
            workers = options.view_as(DirectOptions).direct_num_workers or os.cpu_count() or 1
            answer_here(pipeline, route, settings, hold, workers)
        else:
            try:
                answer_on_dataflow(pipeline, route, settings)
            except ValueError as error:  # Beam is strict with names
                raise WrongOptions(str(error)) from error
        _finish(pipeline)


@contextmanager
def _pipeline(options: PipelineOptions, grace_seconds: float) -> Iterator[tuple[beam.Pipeline, str]]:
    """A pipeline for the runner that the options name, and the leash of those of this machine."""
    here = runs_here(options)
    # Of a pipeline here Beam says nothing that is not said better below; of a job where it can be watched.
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.CRITICAL if here else logging.INFO)
    try:
        if here:
            with leash(grace_seconds) as hold, redirect_stderr(io.StringIO()):
                yield beam.Pipeline(runner_here(options, hold, grace_seconds), options), hold
        else:
            yield beam.Pipeline(runner_of(options), options), ""
    finally:
        root.setLevel(before)


def refuse_local(places: Sequence[str]) -> None:
    """Raises WrongOptions where a place is on this machine, and the pipeline's workers are not."""
    if local := [place for place in places if not place.startswith("gs://")]:
        raise WrongOptions(f"the runner's machines do not see {', '.join(local)}: give gs://BUCKET/…")


def _finish(pipeline: beam.Pipeline) -> PipelineResult:
    """Raises PipelineFailed for one of our own errors that came from a worker; a bug stays what it is."""
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except Exception as error:
        kind = type(error)
        # Itself, or at the end of a worker's traceback.
        if isinstance(error, GoogleAPIError | GoogleAuthError):
            raise PipelineFailed(f"Google Cloud does not take the job: {error}") from error
        if said := _OURS.search(f"{kind.__module__}.{kind.__qualname__}: {error}"):
            raise PipelineFailed(said[1]) from error
        raise
    return result


def _refuse_twice(shards: Sequence[Shard]) -> None:
    files: dict[str, str] = {}
    for shard in shards:
        trips = files.setdefault(shard.output.predictions, shard.wish.trips)
        if any(same(whole(trips), file) for file in shard.output):
            raise FileAccessError(f"{trips} would be replaced by its own predictions: give another --output")
        if trips != shard.wish.trips:
            raise FileAccessError(
                f"{trips} and {shard.wish.trips} are of one month and one kind of taxis, so that their "
                "predictions would replace each other: give one of them, or each a run with its own --output"
            )


def _counts(result: PipelineResult, options: PipelineOptions) -> Counter[str]:
    if options.view_as(TestOptions).dry_run:
        return Counter()
    found = result.metrics().query(MetricsFilter().with_namespace(WriteShards))["counters"]
    return Counter({metric.key.metric.name: metric.result for metric in found})
