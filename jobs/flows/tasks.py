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
from functions.mlmodel import describe, identified
from jobs.flows.artifacts import Report, title_of
from jobs.flows.run_console import logged_console
from jobs.registry.release_pointer import find_release
from jobs.scoring.job import Wish, score_place
from jobs.scoring.layout import is_file, is_there, month_partition, output_of
from jobs.storage.files import FileAccessError

RETRY_DELAYS = (60.0, 300.0, 1500.0)
"""Seconds before each further try: half an hour in all."""
JITTER = 0.3
"""Each delay is longer or shorter by up to about this part, so that many do not come back at once."""


def worth_another_try(_task: object, _run: TaskRun, state: State[Any]) -> bool:
    """An outage and a month that is not published yet look alike; a bug and a missing setting do not."""
    return isinstance(state.data, RidecastError) and not isinstance(state.data, SettingsError)


def _run_name() -> str:
    return title_of(task_run.parameters["wish"])


@task(
    name="score",
    task_run_name=_run_name,
    retries=len(RETRY_DELAYS),
    retry_delay_seconds=list(RETRY_DELAYS),
    retry_jitter_factor=JITTER,
    retry_condition_fn=worth_another_try,
    cache_policy=NO_CACHE,  # what is finished is told by the files, which anybody may remove
)
def score_file(wish: Wish, again: bool = True) -> Report:
    """Scores a file, and leaves a report of it in Prefect as an artifact.

    With other delays: `score_file.with_options(retries=2, retry_delay_seconds=[10, 60])`.

    Args:
        wish: trips, or any table whose columns the model takes.
        again: False leaves a month that this version of the model has predicted before as it is; the
            wish must name taxi and month then, and a folder.

    Raises:
        RidecastError: it cannot be scored, also after the last try.
    """
    log = get_run_logger()
    if not again and (finished := finished_before(wish)):
        log.info(finished.line())
        # A state of its own name, so that one sees what was left out.
        return Completed(name="Finished before", message=finished.line(), data=finished)  # type: ignore[return-value]
    done = score_place(wish, logged_console())
    report = Report.of(wish, done)
    log.info(report.line())
    create_markdown_artifact(report.markdown(), report.key, report.line())
    return report


def finished_before(wish: Wish) -> Report | None:
    """What there is of a month that this version of the model has predicted; None if it has not.

    Raises:
        FileAccessError: the output is a file, or cannot be looked at.
        ModelUnavailable: there is no such model.
    """
    assert wish.month, "only a month's file is known before its input is read"
    refuse_file(wish.output)
    release = find_release(wish.model)
    if not release.version:
        release = identified(release, describe(ModelFolder(release)))
    output = output_of(wish.output, month_partition(wish.taxi, wish.month), release)
    # The predictions are the last that a run writes.
    if not is_there(output.predictions):
        return None
    return Report(title_of(wish), wish.trips, output, release.name, release.version)


def refuse_file(output: str) -> None:
    """Raises FileAccessError where an output is a file: it would be taken for finished, whatever wrote it."""
    if is_file(output):
        raise FileAccessError(
            f"{output} is a file, whose name does not tell which months and which version of the model are "
            "finished: give a folder, local or gs://…"
        )
