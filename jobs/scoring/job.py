"""Scores one file: finds the model, opens the rows, writes the predictions."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import NamedTuple

from rich.console import Console

from functions.features import FEATURES
from functions.model import Model, load_table_model
from jobs.registry.release_pointer import find_release
from jobs.scoring.engine import score_rows
from jobs.scoring.layout import OutputFiles, is_single_file, output_files, remove_stale_files
from jobs.scoring.protocols import RowSource
from jobs.scoring.stats import ScoringStats
from jobs.scoring.table_source import TableSource
from jobs.scoring.trip_source import DURATION, TripSource
from jobs.storage.errors import FileAccessError
from jobs.storage.files import samefile
from jobs.storage.parquet import open_parquet
from jobs.trips.months import month_from_filename
from jobs.trips.records import TripReader, find_columns
from jobs.ui.progress import progress_bar

ZONES = {"PULocationID", "DOLocationID"}
"""A table with one of these columns is read as trips, if the model takes features of rides."""


class ScoringRequest(NamedTuple):
    """What to score, with which model, and where to write."""

    input: str
    """A path, `gs://` or `https://`."""
    output: str
    """A folder, or a file that ends in `.parquet`; a path or `gs://`."""
    model: str = ""
    """As MODEL_URI in a function; empty for the champion's release."""
    taxi: str = ""
    """`green` or `yellow`; empty to tell it from the file's columns."""
    month: date | None = None
    """None to tell it from the file's name."""
    columns: tuple[str, ...] = ()
    """The output columns to write; all if empty."""
    allow_pickle: bool = False
    """Whether a pickled model may run its code."""


class ScoringResult(NamedTuple):
    """A scored file."""

    stats: ScoringStats
    output: OutputFiles
    model: Model
    seconds: float


def run_scoring(request: ScoringRequest, console: Console) -> ScoringResult:
    """Scores a file and shows the progress.

    Raises:
        FileAccessError: the file cannot be read or the output not written; existing output stays unchanged.
        ModelUnavailable: there is no such model, or it failed.
    """
    began = time.monotonic()
    model = load_table_model(find_release(request.model), allow_pickle=request.allow_pickle)
    with (
        open_row_source(request, model) as source,
        progress_bar("scoring", source.rows, "rows", console) as show,
    ):
        output = output_files(request.output, source.partition, model.release)
        if any(samefile(request.input, written) for written in output):
            raise FileAccessError(
                f"{request.input} would be replaced by its own predictions: give another --output"
            )
        stats = score_rows(source, model, output, lambda so_far: show(so_far.rows))
        if not is_single_file(request.output):
            for file in output:
                remove_stale_files(file, [file])
    return ScoringResult(stats, output, model, time.monotonic() - began)


@contextmanager
def open_row_source(request: ScoringRequest, model: Model) -> Iterator[RowSource]:
    """Opens the file as trips if the model takes features of rides, and as a table otherwise.

    Raises FileAccessError if it cannot be read, or does not suit the model.
    """
    with open_parquet(request.input) as source:
        if set(model.columns) <= set(FEATURES) and find_columns(source.names).keys() & ZONES:
            yield _trip_source(request, model, TripReader(source))
            return
        if missing := [name for name in model.columns if name not in source.names]:
            raise FileAccessError(
                f"{request.input} has no column {', '.join(missing)}, which {model.release.name} version "
                f"{model.version} takes"
            )
        if request.columns:
            columns = " and ".join(request.columns)
            raise FileAccessError(f"{request.input} does not hold trips, so it has no {columns}")
        yield TableSource(source, model)


def _trip_source(request: ScoringRequest, model: Model, file: TripReader) -> TripSource:
    target, taxi = model.target.target, request.taxi or file.taxi
    if request.columns and target != DURATION:
        raise FileAccessError(f"{model.release.name} predicts {target}, so it has no predicted_duration")
    columns = f"the columns of {request.input}"
    if file.taxi and taxi != file.taxi:
        raise FileAccessError(f"{columns} are those of {file.taxi} taxis, not of {taxi} ones")
    if not taxi:
        raise FileAccessError(f"{columns} do not tell green from yellow taxis: give --taxi")
    month = request.month or month_from_filename(request.input)
    return TripSource(file, model, taxi, month, request.columns)
