"""One file as it was asked for: which model, what its rows are, where its predictions go."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import NamedTuple

from rich.console import Console

from functions.features import FEATURES
from functions.model import Model, load_table_model
from jobs.registry.release_pointer import find_release
from jobs.scoring.engine import score
from jobs.scoring.layout import Output, is_file, output_of, remove_others
from jobs.scoring.protocols import Subject
from jobs.scoring.stats import Outcome
from jobs.scoring.table_source import ScoredTable
from jobs.scoring.trip_source import DURATION, ScoredTrips
from jobs.storage.files import FileAccessError, same
from jobs.storage.parquet import open_parquet
from jobs.trips.months import month_in_name
from jobs.trips.records import TripFile, spelled
from jobs.ui.progress import counting

ZONES = {"PULocationID", "DOLocationID"}
"""A table with one of these is meant as trips."""


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
        FileAccessError: the file cannot be read, or the output not be written; what was there before stays.
        ModelUnavailable: there is no such model, or it failed.
    """
    began = time.monotonic()
    model = load_table_model(find_release(wish.model), allow_pickle=wish.allow_pickle)
    with open_subject(wish, model) as subject, counting("scoring", subject.rows, "rows", console) as progress:
        output = output_of(wish.output, subject.partition, model.release)
        if any(same(wish.trips, written) for written in output):
            raise FileAccessError(
                f"{wish.trips} would be replaced by its own predictions: give another --output"
            )
        outcome = score(subject, model, output, lambda so_far: progress(so_far.rows))
        if not is_file(wish.output):
            for file in output:
                remove_others(file, [file])
    return Done(outcome, output, model, time.monotonic() - began)


@contextmanager
def open_subject(wish: Wish, model: Model) -> Iterator[Subject]:
    """The file as what the model is for: trips if it has features of rides, any table otherwise.

    Raises:
        FileAccessError: it cannot be read, or is nothing that the model takes.
    """
    with open_parquet(wish.trips) as source:
        if set(model.columns) <= set(FEATURES) and spelled(source.names).keys() & ZONES:
            yield _trips(wish, model, TripFile(source))
            return
        if missing := [name for name in model.columns if name not in source.names]:
            raise FileAccessError(
                f"{wish.trips} has no column {', '.join(missing)}, which {model.release.name} version "
                f"{model.version} takes"
            )
        if wish.columns:
            raise FileAccessError(f"{wish.trips} holds no trips, so it has no {' and '.join(wish.columns)}")
        yield ScoredTable(source, model)


def _trips(wish: Wish, model: Model, file: TripFile) -> ScoredTrips:
    if wish.columns and model.target.target != DURATION:
        raise FileAccessError(
            f"{model.release.name} predicts {model.target.target}, so it has no predicted_duration"
        )
    taxi = wish.taxi or file.taxi
    if file.taxi and taxi != file.taxi:
        raise FileAccessError(
            f"the columns of {wish.trips} are those of {file.taxi} taxis, not of {taxi} ones"
        )
    if not taxi:
        raise FileAccessError(f"the columns of {wish.trips} do not say which taxis it is about: give --taxi")
    return ScoredTrips(file, model, taxi, wish.month or month_in_name(wish.trips), wish.columns)
