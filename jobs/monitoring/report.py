"""Makes a report: reads both sides, compares them, and prints, draws and logs the findings."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from functions.model import Model, load_model
from jobs.monitoring.findings import CannotReport, Findings, compare
from jobs.monitoring.mlflow_report import EXPERIMENT, log_report
from jobs.monitoring.month_source import read_months
from jobs.monitoring.stream_source import read_stream
from jobs.monitoring.terminal_report import print_report
from jobs.monitoring.thresholds import Thresholds
from jobs.monitoring.training_run import TrainingRun, read_training_run
from jobs.registry.release_pointer import artifact_server, find_release
from jobs.scoring.database import open_database
from jobs.scoring.trip_source import DURATION
from jobs.settings import Settings
from jobs.storage.atomic import atomic_write
from jobs.storage.errors import FileAccessError, translate_errors
from jobs.storage.files import basename
from jobs.trips.names import describe_files


class ReportRequest(NamedTuple):
    """What to report on, and what to compare it with."""

    trips: tuple[str, ...] = ()
    """URIs of the current rides: Parquet of green or yellow trips, as for `score`."""
    reference: tuple[str, ...] = ()
    """URIs of the months the model was trained on; if empty, those that its training run names."""
    predictions: str = ""
    """The folder given to `score --output`; if empty, the model predicts now."""
    model: str = ""
    """As MODEL_URI of a function; if empty, the champion's release."""
    stream: str = ""
    """Replaces trips and predictions: the file of `collect`, or Parquet of its view."""
    hours: float = 24.0
    """Length of the reported part of the stream, up to its newest event."""
    page: str = ""
    """Path or `gs://` URI to write the HTML page to; if empty, it goes only to MLflow."""
    thresholds: Thresholds = Thresholds()


def make_report(
    request: ReportRequest, console: Console, environ: Mapping[str, str] = os.environ
) -> Findings:
    """Compares, prints to the console, writes the page, and logs to MLflow if the environment names a server.

    Raises:
        CannotReport: there is nothing to compare.
        FileAccessError: a file cannot be read, or the page cannot be written.
        ModelUnavailable, VersionNotFound, SettingsError, TrackingFailed: the model cannot be loaded.
    """
    if bool(request.trips) == bool(request.stream):
        raise CannotReport("nothing to report on: give --trips or --stream")
    # Logging takes both an MLflow server and a bucket for its artifacts.
    has_server = environ.get("MLFLOW_TRACKING_URI") and environ.get("MODEL_BUCKET")
    settings = Settings.read(environ) if has_server else None
    model = _model(request, environ)
    training = read_training_run(model.release, settings) if model and settings else TrainingRun()
    reference_uris = request.reference or training.trips
    if not reference_uris:
        raise CannotReport("no training run names the months that the model was trained on: give --reference")
    with open_database(request.predictions) if request.predictions else nullcontext() as predictions:
        if request.stream:
            current, subject = read_stream(request.stream, request.hours)
            title = basename(request.stream)
        else:
            current = read_months(request.trips, predictions, None if predictions else model)
            subject, title = _names(request.trips), describe_files(request.trips)
            if predictions and not current.predictions_by_version:
                raise CannotReport(
                    f"{request.predictions} holds no predictions for these rides: run `score` first"
                )
        with nullcontext() if request.reference else _blame_training_run():
            reference = read_months(reference_uris, predictions, model)
    findings = compare(current, reference, request.thresholds, training.held_out)
    findings = replace(findings, subject=subject, title=title, reference=_names(reference_uris))
    if settings or request.page:
        findings = _publish(findings, request.page, settings)
    print_report(findings, console)
    if settings:
        place = findings.run_page or f"{EXPERIMENT}, run {findings.run_id}"
        console.print(Text(f"logged     {place}"), soft_wrap=True)
    if request.page:
        console.print(Text(f"page       {request.page}"), overflow="ellipsis", no_wrap=True)
    return findings


def _publish(findings: Findings, uri: str, settings: Settings | None) -> Findings:
    # Matplotlib takes half a second to import; a report without a page does not need it.
    from jobs.monitoring.html_report import render_page

    page = render_page(findings, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))
    if uri:
        with atomic_write(uri) as file, translate_errors(uri):
            file.write(page.encode())
    if not settings:
        return findings
    logged = log_report(findings, page, settings)
    return replace(findings, run_id=logged.run_id, run_page=logged.page)


def _model(request: ReportRequest, environ: Mapping[str, str]) -> Model | None:
    """None if predictions are given and neither the request nor the environment names a model."""
    if (request.predictions or request.stream) and not (request.model or environ.get("MODEL_BUCKET")):
        return None
    release = find_release(request.model, environ)
    model = load_model(release, server=artifact_server(release, environ))
    if model.target.target != DURATION:
        raise CannotReport(
            f"{model.release.name} predicts {model.target.target}: give a model that predicts {DURATION}"
        )
    return model


@contextmanager
def _blame_training_run() -> Iterator[None]:
    """Says where an unreadable reference comes from, which nobody has given to the command."""
    try:
        yield
    except FileAccessError as error:
        raise FileAccessError(
            f"{error}. The model's training run names this file: give --reference if it is elsewhere now"
        ) from error


def _names(uris: Sequence[str]) -> str:
    return ", ".join(basename(uri) for uri in uris)
