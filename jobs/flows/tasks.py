"""The task that scores one file, trips or any table: for the flows here, and for your own."""

from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger
from prefect.runtime import task_run
from prefect.states import Completed

from functions.artifacts import ModelFolder
from functions.errors import RidecastError, SettingsError
from functions.mlmodel import read_description, with_version
from jobs.flows.prefect_artifacts import ScoringReport, title_of
from jobs.flows.run_console import run_log_console
from jobs.registry.release_pointer import artifact_server, find_release
from jobs.scoring.job import ScoringRequest, run_scoring
from jobs.scoring.layout import is_complete, is_single_file, month_partition, output_files
from jobs.storage.errors import FileAccessError

RETRY_DELAYS = (60.0, 300.0, 1500.0)
"""Seconds before each retry: half an hour in all."""
JITTER = 0.3
"""Each delay is longer or shorter by up to about this fraction, so that many retries do not coincide."""


def is_retryable(_task: object, _run: TaskRun, state: State[Any]) -> bool:
    """True for an outage or a month that is not published yet, false for a bug or a missing setting."""
    return isinstance(state.data, RidecastError) and not isinstance(state.data, SettingsError)


@task(
    name="score",
    task_run_name=lambda: title_of(task_run.parameters["request"]),
    retries=len(RETRY_DELAYS),
    retry_delay_seconds=list(RETRY_DELAYS),
    retry_jitter_factor=JITTER,
    retry_condition_fn=is_retryable,
    cache_policy=NO_CACHE,  # the files tell what is finished, and anybody may remove them
)
def score_file(request: ScoringRequest, again: bool = True) -> ScoringReport:
    """Scores a file, and creates an artifact in Prefect with the report.

    To change the delays: `score_file.with_options(retries=2, retry_delay_seconds=[10, 60])`.

    Args:
        request: trips, or any table that has the model's columns.
        again: False skips a month that this version of the model has scored before; the request must then
            name the taxi, the month and a folder.

    Raises:
        RidecastError: it cannot be scored, even after the last retry.
    """
    log = get_run_logger()
    if not again and (finished := find_completed(request)):
        log.info(finished.summary())
        # A named state, so that Prefect's UI shows which months were skipped.
        return Completed(name="Finished before", message=finished.summary(), data=finished)  # type: ignore[return-value]
    report = ScoringReport.of(request, run_scoring(request, run_log_console()))
    log.info(report.summary())
    create_markdown_artifact(report.markdown(), report.key, report.summary())
    return report


def find_completed(request: ScoringRequest) -> ScoringReport | None:
    """The report on a month that this version of the model has scored before; None if it has not.

    Raises:
        FileAccessError: the output is a file, or cannot be listed.
        ModelUnavailable: there is no such model.
    """
    assert request.month, "without a month, the output file is not known before the input is read"
    require_folder(request.output)
    release = find_release(request.model)
    if not release.version:
        release = with_version(release, read_description(ModelFolder(release, artifact_server(release))))
    output = output_files(request.output, month_partition(request.taxi, request.month), release)
    # A run writes its predictions last.
    if not is_complete(output.predictions):
        return None
    return ScoringReport(title_of(request), request.input, output, release.name, release.version)


def require_folder(output: str) -> None:
    """Raises FileAccessError if the output is a single file, which would look finished whatever wrote it."""
    if is_single_file(output):
        raise FileAccessError(
            f"{output} is a file, which does not show which months and which version of the model are "
            "finished: give a folder, local or gs://…"
        )
