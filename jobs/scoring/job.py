"""Scores one file: finds the model, opens the rows, writes the predictions."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import NamedTuple

from rich.console import Console

from functions.features import FEATURES
from functions.model import Model, load_table_model
from jobs.registry.release_pointer import artifact_server, find_release
from jobs.scoring.engine import score_rows
from jobs.scoring.layout import OutputFiles, is_single_file, output_files, remove_stale_files, unsharded
from jobs.scoring.protocols import RowSource
from jobs.scoring.stats import ScoringStats
from jobs.scoring.table_source import TableSource
from jobs.scoring.trip_source import DURATION, TripSource
from jobs.storage.errors import FileAccessError
from jobs.storage.files import samefile
from jobs.storage.tables import Table, open_table, require_exists
from jobs.trips.records import TripReader
from jobs.trips.trip_columns import TAXIS, find_columns, require_readable
from jobs.ui.progress import progress_bar

ZONES = {"PULocationID", "DOLocationID"}
"""A table with one of these columns is read as trips, if the model takes features of rides."""


class ScoringRequest(NamedTuple):
    """What to score, with which model, and where to write."""

    input: str
    """A file, folder or pattern: a path, `gs://` or `https://`."""
    output: str
    """A folder, or a file that ends in `.parquet`; a path or `gs://`."""
    model: str = ""
    """As MODEL_URI in a function; empty for the champion's release."""
    taxi: str = ""
    """One of `TAXIS`; empty to tell it from the columns."""
    month: date | None = None
    """None to tell it from the file's or folder's name."""
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
    require_exists(request.input)  # before the model is loaded, which takes longer
    release = find_release(request.model)
    server = artifact_server(release)
    model = load_table_model(release, allow_pickle=request.allow_pickle, server=server)
    with (
        open_row_source(request, model) as source,
        progress_bar("scoring", source.table.rows, "rows", console) as show,
    ):
        output = output_files(request.output, source.partition, model.release)
        refuse_overwriting(source.table, output)
        stats = score_rows(source, model, output, lambda so_far: show(so_far.rows))
        if not is_single_file(request.output):
            for file in output:
                remove_stale_files(file, [file])
    return ScoringResult(stats, output, model, time.monotonic() - began)


def refuse_overwriting(table: Table, output: OutputFiles) -> None:
    """Raises FileAccessError if the predictions of a table would replace one of its files."""
    for part in table.parts:
        if any(samefile(unsharded(part.uri), written) for written in output):
            raise FileAccessError(
                f"{part.uri} would be replaced by its own predictions: give another --output"
            )


@contextmanager
def open_row_source(request: ScoringRequest, model: Model, scratch: str = "") -> Iterator[RowSource]:
    """Opens the input as trips if the model takes features of rides, and as a table otherwise.

    `scratch` is a folder for copies of files that have to be converted, see `open_table`. Raises
    FileAccessError if the input cannot be read, or does not suit the model.
    """
    with open_table(request.input, scratch) as table:
        source = row_source(request, model, table)
        if isinstance(source, TripSource):
            require_readable(source.table, source.names)
        yield source


def row_source(request: ScoringRequest, model: Model, table: Table) -> RowSource:
    """The rows of a table as the model takes them.

    Raises FileAccessError if the table's columns do not suit the model.
    """
    if set(model.columns) <= set(FEATURES):
        found = find_columns(table.names)
        if found.keys() & ZONES or (found and not set(model.columns) <= set(table.names)):
            return _trip_source(request, model, TripReader(table))
    source = TableSource(table, model)
    if request.columns:
        columns = " and ".join(request.columns)
        raise FileAccessError(f"{table.uri} does not hold trips, so it has no {columns}")
    return source


def _trip_source(request: ScoringRequest, model: Model, file: TripReader) -> TripSource:
    target, taxi = model.target.target, request.taxi or file.taxi
    if request.columns and target != DURATION:
        raise FileAccessError(f"{model.release.name} predicts {target}, so it has no predicted_duration")
    columns = f"the columns of {file.uri}"
    if file.taxi and taxi != file.taxi:
        raise FileAccessError(f"{columns} are those of {file.taxi} taxis, not of {taxi} ones")
    if not taxi:
        raise FileAccessError(
            f"{columns} do not tell the kind of taxi: give --taxi {', '.join(TAXIS[:-1])} or {TAXIS[-1]}"
        )
    return TripSource(file, model, taxi, request.month or file.month(), request.columns)
