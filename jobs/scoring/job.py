"""One file as it was asked for: which model, what its rows are, where its predictions go."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import NamedTuple

from rich.console import Console

from functions.errors import SettingsError
from functions.features import FEATURES
from functions.model import Model, load_table_model
from functions.registry import resolve
from functions.releases import Release
from jobs.parquet import open_parquet
from jobs.places import NoPlace, name_of, same
from jobs.progress import counting
from jobs.scoring.layout import Output, is_file, output_of, remove_others
from jobs.scoring.outcome import Outcome
from jobs.scoring.run import score
from jobs.scoring.subject import Subject
from jobs.scoring.table import ScoredTable
from jobs.scoring.trips import DURATION, ScoredTrips
from jobs.settings import MODEL_NAME, Settings
from jobs.trips import TripFile, spelled

ZONES = {"PULocationID", "DOLocationID"}
"""A table with one of these is meant as trips."""
_MONTH = re.compile(r"(?<!\d)(\d{4})-(\d{2})(?!\d)")


class Wish(NamedTuple):
    """What is to be scored, by what, and where to."""

    trips: str
    """A path, `gs://` or `https://`."""
    output: str
    """A folder, or a file that ends in `.parquet`; a path or `gs://`."""
    model: str = ""
    """As MODEL_URI in a function; empty is the champion's release."""
    taxi: str = ""
    """`green` or `yellow`; empty is what the file's columns say."""
    month: date | None = None
    """None is what the file's name says."""
    columns: tuple[str, ...] = ()
    """Those that are written; all if empty."""
    allow_pickle: bool = False
    """Whether a pickled model may run its code."""


class Done(NamedTuple):
    """A file that was scored."""

    outcome: Outcome
    output: Output
    model: Model
    seconds: float


def score_place(wish: Wish, console: Console) -> Done:
    """Scores a file, and says how far it is.

    Raises:
        NoPlace: the file cannot be read, or the output not be written; what was there before stays.
        ModelUnavailable: there is no such model, or it failed.
    """
    began = time.monotonic()
    model = load_table_model(find_release(wish.model), allow_pickle=wish.allow_pickle)
    with open_subject(wish, model) as subject, counting("scoring", subject.rows, "rows", console) as progress:
        output = output_of(wish.output, subject.partition, model.release)
        if any(same(wish.trips, written) for written in output):
            raise NoPlace(f"{wish.trips} would be replaced by its own predictions: give another --output")
        outcome = score(subject, model, output, lambda so_far: progress(so_far.rows))
        if not is_file(wish.output):
            for file in output:
                remove_others(file, [file])
    return Done(outcome, output, model, time.monotonic() - began)


def find_release(uri: str, environ: Mapping[str, str] = os.environ) -> Release:
    """The release that a URI names; the champion's if it is empty.

    Raises:
        SettingsError: the environment does not say where.
        ModelUnavailable, TrackingFailed, NoSuchVersion: there is none, or its store does not answer.
    """
    tracking, bucket = environ.get("MLFLOW_TRACKING_URI", ""), environ.get("MODEL_BUCKET", "")
    if not uri:
        return resolve(champion(environ))
    if uri.startswith("models:") and not tracking:
        raise SettingsError(f"{uri} is asked of MLflow, and MLFLOW_TRACKING_URI is not set")
    if uri.startswith("models:") and not tracking.startswith(("http://", "https://")):
        # MLflow takes seconds to import; it knows databases, where the functions ask a server.
        from jobs.reachable import reachable
        from jobs.registered import release_of

        with reachable(Settings(tracking, bucket)):
            return release_of(uri, tracking)
    return resolve(uri, tracking, environ.get("MLFLOW_TRACKING_TOKEN", ""))


def champion(environ: Mapping[str, str] = os.environ) -> str:
    """The address of the champion's release pointer.

    Raises:
        SettingsError: the environment does not say where.
    """
    bucket = environ.get("MODEL_BUCKET", "")
    if not bucket:
        raise SettingsError("which model? Give --model, or set MODEL_BUCKET to where releases are")
    return Settings("", bucket.rstrip("/")).pointer(MODEL_NAME)


def fill_in(pattern: str, month: date | None, taxi: str = "") -> str:
    """A place for a month, from the course's `{year:04d}-{month:02d}`, and `{taxi_type}`.

    Raises:
        NoPlace: it cannot be filled in.
    """
    if "{" not in pattern:
        return pattern
    if month is None:
        raise NoPlace(f"{pattern} needs --year and --month")
    values = {"year": month.year, "month": month.month} | ({"taxi_type": taxi} if taxi else {})
    try:
        return pattern.format(**values)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise NoPlace(
            f"{pattern} may hold {{year:04d}}, {{month:02d}} and, with --taxi, {{taxi_type}}: {error}"
        ) from error


@contextmanager
def open_subject(wish: Wish, model: Model) -> Iterator[Subject]:
    """The file as what the model is for: trips if it has features of rides, any table otherwise.

    Raises:
        NoPlace: it cannot be read, or is nothing that the model takes.
    """
    with open_parquet(wish.trips) as source:
        if set(model.columns) <= set(FEATURES) and spelled(source.names).keys() & ZONES:
            yield _trips(wish, model, TripFile(source))
            return
        if missing := [name for name in model.columns if name not in source.names]:
            raise NoPlace(
                f"{wish.trips} has no column {', '.join(missing)}, which {model.release.name} version "
                f"{model.version} takes"
            )
        if wish.columns:
            raise NoPlace(f"{wish.trips} holds no trips, so it has no {' and '.join(wish.columns)}")
        yield ScoredTable(source, model)


def _trips(wish: Wish, model: Model, file: TripFile) -> ScoredTrips:
    if wish.columns and model.target.target != DURATION:
        raise NoPlace(f"{model.release.name} predicts {model.target.target}, so it has no predicted_duration")
    taxi = wish.taxi or file.taxi
    if file.taxi and taxi != file.taxi:
        raise NoPlace(f"the columns of {wish.trips} are those of {file.taxi} taxis, not of {taxi} ones")
    if not taxi:
        raise NoPlace(f"the columns of {wish.trips} do not say which taxis it is about: give --taxi")
    return ScoredTrips(file, model, taxi, wish.month or month_of(wish.trips), wish.columns)


def month_of(place: str) -> date:
    """The month that a file's name says it is of; raises NoPlace where it says none."""
    found = set(_MONTH.findall(name_of(place)))
    try:
        ((year, month),) = found
        return date(int(year), int(month), 1)
    except ValueError:
        raise NoPlace(
            f"the name of {place} does not say which month it is (…2021-03.parquet): give --year and --month"
        ) from None
