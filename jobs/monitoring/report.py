"""A report as it was asked for: which rides, beside which, by which model; told, drawn and logged."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
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
from jobs.monitoring.terminal_report import print_summary
from jobs.monitoring.thresholds import Limits
from jobs.monitoring.training_run import Training, training_of
from jobs.registry.release_pointer import find_release
from jobs.scoring.database import open_database
from jobs.scoring.trip_source import DURATION
from jobs.settings import Settings
from jobs.storage.files import name_of, trouble_with, writing


class Wish(NamedTuple):
    """What is to be reported on, and beside what."""

    trips: tuple[str, ...] = ()
    """This month's rides: Parquet of green or yellow trips at places that `score` takes."""
    reference: tuple[str, ...] = ()
    """The months that the model learned from; if empty, those that its training named."""
    predictions: str = ""
    """What `score --output` was given; if empty, the model predicts now."""
    model: str = ""
    """As MODEL_URI in a function; if empty, the champion's release."""
    stream: str = ""
    """Instead of trips and predictions: events that `collect` joined, its file or Parquet of its view."""
    hours: float = 24.0
    """Of the stream, up to its newest event."""
    page: str = ""
    """Where the page goes, a path or `gs://`; if empty, only to MLflow."""
    limits: Limits = Limits()


def make_report(wish: Wish, console: Console, environ: Mapping[str, str] = os.environ) -> Findings:
    """Compares, says so on the console, writes the page, and logs to MLflow where the environment names one.

    Raises:
        CannotReport: nothing is there to compare.
        FileAccessError: a place cannot be read, or the page not be written.
        ModelUnavailable, NoSuchVersion, SettingsError, TrackingFailed: there is no model.
    """
    if bool(wish.trips) == bool(wish.stream):
        raise CannotReport("what is the report about? Give --trips or --stream")
    settings = _settings(environ)
    model = _model(wish, environ)
    training = training_of(model.release, settings) if model and settings else Training()
    reference_places = wish.reference or training.places
    if not reference_places:
        raise CannotReport(
            "which months did the model learn from? Its training does not say: give --reference"
        )
    with ExitStack() as stack:
        predictions = stack.enter_context(open_database(wish.predictions)) if wish.predictions else None
        if wish.stream:
            now, subject = read_stream(wish.stream, wish.hours)
        else:
            now = read_months(wish.trips, predictions, None if predictions else model)
            subject = _names(wish.trips)
            if predictions and not now.by_version:
                raise CannotReport(
                    f"{wish.predictions} holds no predictions of these rides: run `score` first"
                )
        reference = read_months(reference_places, predictions, model)
    findings = compare(now, reference, wish.limits, training.held_out)
    findings = replace(findings, subject=subject, reference=_names(reference_places))
    if settings or wish.page:
        findings = _publish(findings, wish.page, settings)
    print_summary(findings, console)
    if settings:
        console.print(Text(f"logged     {EXPERIMENT}, run {findings.run_id}"))
    if wish.page:
        console.print(Text(f"page       {wish.page}"), overflow="ellipsis", no_wrap=True)
    return findings


def _publish(findings: Findings, place: str, settings: Settings | None) -> Findings:
    # Matplotlib takes half a second to import: a report that is only told does without.
    from jobs.monitoring.html_report import page_of

    page = page_of(findings, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))
    if place:
        with writing(place) as file, trouble_with(place):
            file.write(page.encode())
    return replace(findings, run_id=log_report(findings, page, settings)) if settings else findings


def _settings(environ: Mapping[str, str]) -> Settings | None:
    """None where the environment names no MLflow, or no bucket for what is logged there."""
    if environ.get("MLFLOW_TRACKING_URI") and environ.get("MODEL_BUCKET"):
        return Settings.read(environ)
    return None


def _model(wish: Wish, environ: Mapping[str, str]) -> Model | None:
    """None only where it is not needed, because predictions are there, and nothing says which."""
    if (wish.predictions or wish.stream) and not (wish.model or environ.get("MODEL_BUCKET")):
        return None
    model = load_model(find_release(wish.model, environ))
    if model.target.target != DURATION:
        raise CannotReport(
            f"{model.release.name} predicts {model.target.target}, a report is about {DURATION}"
        )
    return model


def _names(places: Sequence[str]) -> str:
    return ", ".join(name_of(place) for place in places)
